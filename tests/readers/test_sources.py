"""The page *Sources*: each line names what is read and what is refused, and each claim has a test.

A line of a table of ``docs/start/sources.md`` is known here by its beginning. For each of its two
cells stand the tests of its claims, which a semicolon separates on the page.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs/start/sources.md"
FILES = {
    "layouts": "readers/test_layouts.py",
    "formats": "readers/test_formats.py",
    "readers": "readers/test_readers.py",
    "signatures": "data/test_signatures.py",
    "levels": "data/test_levels.py",
    "fonts": "readers/test_fonts.py",
    "elsewhere": "test_elsewhere.py",
    "remote": "runtime/test_remote.py",
}

# The beginning of a line, then the tests of what is read and of what is refused.
SOURCES = {
    "`image_folder`": (
        "readers TestEveryReader test_gives_each_image_with_its_label; "
        "readers TestImageFolder test_links_are_followed_but_not_in_a_circle",
        "",
    ),
    "`archive` |": (
        "readers TestRecognise test_tars_of_class_folders_are_archives; "
        "readers TestArchive test_is_read_like_the_folder_in_it",
        "readers TestArchive test_unsafe_names_stop_before_any_item; "
        "readers TestArchive test_links_and_devices_in_a_tar; "
        "readers TestArchive test_links_and_devices_in_a_zip; "
        "readers TestArchive test_an_encrypted_member; "
        "readers TestArchive test_an_archive_cut_short",
    ),
    "`archive`, names": (
        "formats TestNamesInArchives test_the_setting_reaches_the_reader; "
        "formats TestNamesInArchives test_the_unicode_field_and_the_flag_need_no_setting",
        "formats TestNamesInArchives test_an_encoding_is_asked_for_and_used",
    ),
    "`csv`": (
        "readers TestCsv test_splits_groups_and_rejected_rows; "
        "layouts TestCompetition test_with_endings_and_one_folder",
        "readers TestCsv test_missing_columns_stop_it; "
        "layouts TestListsFromElsewhere test_images_that_no_table_lists_are_rejected",
    ),
    "`idx` |": (
        "readers TestIdx test_mnist; readers TestIdx test_a_gz_cut_short",
        "readers TestIdx test_wrong_magic_and_lengths_stop_it; "
        "readers TestIdx test_several_sets_must_be_chosen_from",
    ),
    "`idx` in": (
        "formats TestIdx test_wherever_the_files_lie; formats TestIdx test_wherever_the_files_lie",
        "formats TestIdx test_two_sets_are_not_guessed",
    ),
    "EMNIST's": (
        "formats TestIdx test_emnist_is_upright_and_mapped; "
        "formats TestIdx test_options_turn_it_off",
        "",
    ),
    "`parquet` |": (
        "readers TestParquet test_a_sample_table_comes_back_whole; "
        "readers TestParquet test_class_names_of_hugging_face",
        "readers TestParquet test_what_is_no_parquet_stops_it; "
        "formats TestTables test_a_path_is_no_image",
    ),
    "`parquet` with": (
        "formats TestTables test_the_columns_are_found_and_said; "
        "formats TestTables test_one_column_that_speaks_of_a_label_is_it",
        "formats TestTables test_two_that_are_alike_are_not_guessed",
    ),
    "a `save_to_disk`": (
        "formats TestTables test_save_to_disk",
        "formats TestTables test_damaged_arrow_is_told_in_one_line",
    ),
    "`webdataset` |": (
        "readers TestWebdataset test_labels_from_each_kind_of_text; "
        "formats TestKeysOfWebDataset test_all_keys_alike_are_read",
        "readers TestWebdataset test_unsafe_members_stop_it; "
        "layouts TestRefused test_boxes_that_contradict_class_folders_stop",
    ),
    "`webdataset`, dots": (
        "formats TestKeysOfWebDataset test_all_keys_alike_are_read; "
        "formats TestKeysOfWebDataset test_a_dot_in_some_keys_is_a_reason",
        "formats TestKeysOfWebDataset test_a_dot_in_some_keys_is_a_reason",
    ),
    "`ocr_list` |": (
        "readers TestOcrList test_lists_of_each_split; formats TestTextLists test_spaces_for_tabs",
        "formats TestTextLists test_what_is_ambiguous_is_rejected; "
        "layouts TestListsFromElsewhere test_images_that_no_list_names_are_rejected",
    ),
    "a generator's": (
        "formats TestTextLists test_labels_in_names_by_a_rule",
        "formats TestTextLists test_labels_in_names_by_a_rule",
    ),
    "`lmdb`": (
        "readers TestLmdb test_split_folders_and_holes",
        "readers TestLmdb test_a_damaged_environment_stops_it; "
        "readers TestLmdb test_a_wrong_number_of_samples_stops_it",
    ),
    "`builtin`": (
        "readers TestBuiltin test_digits; readers TestBuiltin test_mnist",
        "readers TestBuiltin test_an_unknown_one_lists_the_known",
    ),
    "`fonts`": (
        "fonts test_every_font_draws_every_character; fonts test_installed_fonts_by_a_word",
        "fonts test_a_character_that_the_font_lacks_is_rejected; "
        "fonts test_what_is_no_font_is_rejected",
    ),
    "an address": (
        "elsewhere test_a_source_in_a_bucket_is_read_like_a_folder; "
        "remote test_a_folder_is_copied_once_and_follows_its_source",
        "remote test_credentials_in_an_address_are_refused_and_not_repeated; "
        "remote test_a_file_that_changes_while_it_is_read_is_noticed",
    ),
    "TIFF or PNG of 16": (
        "formats TestLevels test_the_set_decides_what_white_is; "
        "formats TestLevels test_the_set_decides_in_colour_too",
        "levels test_levels_that_are_no_numbers_are_refused",
    ),
    "TIFF of several": (
        "formats TestLevels test_ids_are_those_of_the_files_and_pages_and_sidecars_are_said",
        "",
    ),
    "AVIF": (
        "signatures test_avif_is_read_where_pillow_can; signatures test_heic_names_the_extra",
        "signatures test_heic_names_the_extra",
    ),
    "PDF": ("", "signatures test_what_is_no_image_is_named"),
    "any other": (
        "layouts TestBeside test_other_files_are_ignored_and_images_rejected",
        "layouts TestBeside test_other_files_are_ignored_and_images_rejected",
    ),
}

LAYOUTS = {
    "`train/cat/`": (
        "layouts TestSplitFolders test_with_longer_names_are_splits; "
        "layouts TestCompetition test_tests_beside_class_folders_are_unlabelled",
        "",
    ),
    "`cat/train/`": ("layouts TestSplitFolders test_in_each_class_are_splits", ""),
    "`train/`, `test/` without": (
        "layouts TestSplitFolders test_are_classes_where_the_user_says_so",
        "layouts TestSplitFolders test_without_labels_stop",
    ),
    "`metadata.csv`": (
        "layouts TestMetadata test_as_parquet; layouts TestMetadata test_above_the_splits; "
        "layouts TestMetadata test_in_each_split; "
        "readers TestImageFolder test_metadata_says_what_the_images_are",
        "layouts TestMetadata test_that_is_damaged_names_the_line; "
        "layouts TestMetadata test_that_is_no_parquet_names_itself",
    ),
    "`dataset.json`": (
        "layouts TestDatasetJson test_brings_the_labels",
        "layouts TestDatasetJson test_that_is_none_names_itself",
    ),
    "`train.csv` beside": (
        "layouts TestCompetition test_is_read_and_tests_are_unlabelled; "
        "layouts TestCompetition test_with_endings_and_one_folder",
        "layouts TestCompetition test_an_image_that_is_not_listed_is_rejected",
    ),
    "`train.csv`, `val.csv`": (
        "layouts TestCompetition test_a_table_for_each_split",
        "layouts TestCompetition test_two_tables_of_the_same_images_stop",
    ),
    "a table beside": (
        "layouts TestCompetition test_a_table_that_agrees_with_the_folders_is_said",
        "layouts TestCompetition test_a_table_that_contradicts_the_folders_stops",
    ),
    "a table with several": (
        "layouts TestCompetition test_two_columns_that_may_be_the_label_stop",
        "layouts TestCompetition test_two_columns_that_may_be_the_label_stop",
    ),
    "a column of 0 and 1": (
        "layouts TestColumnsOfClasses test_are_read",
        "layouts TestColumnsOfClasses test_a_row_with_several_or_none_is_rejected; "
        "layouts TestColumnsOfClasses test_marks_of_several_things_stop",
    ),
    "a table with commas": (
        "layouts TestTablesOfWindows test_are_read",
        "layouts TestTablesOfWindows test_in_another_encoding_stop",
    ),
    "names in a table": (
        "layouts TestListsFromElsewhere test_are_found",
        "layouts TestListsFromElsewhere test_an_absolute_path_is_never_followed; "
        "layouts TestListsFromElsewhere test_a_path_upwards_is_refused",
    ),
    "`filename,words`": (
        "layouts TestTablesOfWindows test_words_with_commas",
        "layouts TestTablesOfWindows test_cells_in_excess_elsewhere_are_rejected",
    ),
    "an archive with": (
        "layouts TestTablesOfWindows test_archives_of_windows",
        "readers TestArchive test_unsafe_names_stop_before_any_item",
    ),
    "boxes:": (
        "",
        "layouts TestRefused test_yolo; layouts TestRefused test_yolo_in_each_split; "
        "layouts TestRefused test_coco; layouts TestRefused test_pascal_voc; "
        "layouts TestRefused test_a_table_of_boxes",
    ),
    "boxes beside": (
        "layouts TestRefused test_boxes_that_agree_with_class_folders_are_said",
        "layouts TestRefused test_boxes_that_contradict_class_folders_stop",
    ),
    "`images/` and": (
        "layouts TestRefused test_faces_with_and_without_a_mask_are_classes",
        "layouts TestRefused test_masks",
    ),
    "`train/good/`": (
        "layouts TestDefects test_good_and_defects_are_classes; "
        "layouts TestDefects test_train_without_defects_is_said",
        "",
    ),
    "names in two": (
        "layouts TestNames test_two_unicode_forms_are_one_class; "
        "layouts TestNames test_blanks_at_the_end_and_case",
        "",
    ),
    "names that differ": ("layouts TestNames test_blanks_at_the_end_and_case", ""),
}


def lines(start: str, end: str) -> list[list[str]]:
    """The cells of each line of the table between two places of the page."""
    section = PAGE.read_text("utf-8").partition(start)[2].partition(end)[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[1:]]


@cache
def names_in(file: str) -> set[str]:
    """The tests of a file, as ``Class test`` or ``test``."""
    tree = ast.parse((TESTS / file).read_text("utf-8"))
    tests = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            inner = [part.name for part in node.body if isinstance(part, ast.FunctionDef)]
            tests |= {f"{node.name} {name}" for name in inner}
    return tests


@pytest.mark.parametrize(
    ("claims", "start", "end"),
    [(SOURCES, "# Sources", "```yaml"), (LAYOUTS, "## Layouts", "`split_names: ignored`")],
    ids=["sources", "layouts"],
)
def test_every_claim_of_the_page_has_a_test(
    claims: dict[str, tuple[str, str]], start: str, end: str
) -> None:
    rows = lines(start, end)
    assert len(rows) == len(claims)
    for cells, (beginning, tests) in zip(rows, claims.items(), strict=True):
        assert f"{cells[0]} |".startswith(beginning)
        for cell, named in zip(cells[1:], tests, strict=True):
            sought = [name.split(maxsplit=1) for name in named.split("; ") if name]
            assert bool(cell) == bool(sought), f"{beginning}: {cell!r} beside {named!r}"
            assert len(sought) > cell.count(";") or not cell, f"{beginning}: a claim has no test"
            for file, name in sought:
                assert name.startswith(("Test", "test_")) and name in names_in(FILES[file]), name
