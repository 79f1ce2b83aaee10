"""Writers: each puts samples into a folder in one format that others read."""

from augment.writers import idx, image_folder, lmdb, ocr_list, parquet, webdataset  # noqa: F401
