"use strict";

// Cards come in chunks, when these are near; all have one height, so the others are empty boxes.
const main = document.querySelector("main[data-show]");
const said = document.querySelector(".said");
const dialog = document.querySelector("dialog");
const input = dialog.querySelector("input");
const chunks = [...document.querySelectorAll(".chunk")];
const count = Number(main?.dataset.count);
const size = Number(main?.dataset.chunk);
const loading = new Map(); // chunk -> the promise of its cards
const undoable = []; // what stood before each decision of this page
let current = 0;
let joined = ""; // the cluster that the next decision is about

function say(text, fault = false) {
  said.textContent = text;
  said.classList.toggle("fault", fault);
}

function chunkOf(place) {
  return chunks[Math.floor(place / size)];
}

function load(chunk) {
  if (!loading.has(chunk)) loading.set(chunk, fetched(chunk));
  return loading.get(chunk);
}

async function fetched(chunk) {
  const query = new URLSearchParams({ show: main.dataset.show, start: chunk.dataset.first });
  try {
    const answer = await fetch(`cards?${query}`);
    const text = await answer.text();
    if (!answer.ok) throw new Error(text);
    if (near.has(chunk) || chunk === chunkOf(current)) {
      chunk.innerHTML = text; // escaped by the server
      marked();
    } else loading.delete(chunk); // gone by meanwhile
  } catch (error) {
    loading.delete(chunk);
    say(`not loaded: ${error.message}`, true);
  }
}

const near = new Set();
const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) {
      near.add(target);
      setTimeout(() => near.has(target) && load(target), 60); // not while flying past
    } else {
      near.delete(target);
      if (target !== chunkOf(current)) {
        loading.delete(target);
        target.replaceChildren();
      }
    }
  }
}, { rootMargin: "150% 0px" });
chunks.forEach((chunk) => watcher.observe(chunk));

function card(place = current) {
  return chunkOf(place)?.children[place % size];
}

function place(element) {
  const chunk = element.parentElement;
  return Number(chunk.dataset.first) + [...chunk.children].indexOf(element);
}

function marked() {
  document.querySelectorAll(".card.current").forEach((old) => old.classList.remove("current"));
  card()?.classList.add("current");
  for (const element of document.querySelectorAll(".card[data-cluster]")) {
    const together = joined !== "" && element.dataset.cluster === joined;
    element.classList.toggle("joined", together);
    element.querySelector(".cluster")?.setAttribute("aria-pressed", String(together));
  }
}

async function go(target, { scroll = true } = {}) {
  if (target < 0 || target >= count) return;
  current = target;
  await load(chunkOf(current));
  if (joined !== "" && card()?.dataset.cluster !== joined) joined = "";
  marked();
  if (scroll) card()?.scrollIntoView({ block: "nearest" });
}

function columns() {
  return Number(getComputedStyle(document.documentElement).getPropertyValue("--columns"));
}

function show(changed, progress) {
  for (const { id, now } of changed) {
    for (const element of document.querySelectorAll(`.card[data-id="${CSS.escape(id)}"]`)) {
      element.dataset.action = now?.action ?? "";
      const label = now?.label ? ` → ${now.label}` : "";
      element.querySelector(".verdict").textContent = now ? now.action + label : "";
    }
  }
  for (const element of document.querySelectorAll("[data-progress]")) {
    const [done, all] = progress[element.dataset.progress];
    element.textContent = `${done.toLocaleString("en")} of ${all.toLocaleString("en")}`;
  }
  document.querySelector("progress").value = progress.flagged[0];
}

async function send(decisions, cluster) {
  const answer = await fetch("decide", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ decisions, cluster, section: main.dataset.show }),
  });
  const reply = await answer.json();
  if (!answer.ok) throw new Error(reply.error);
  show(reply.changed, reply.progress);
  return reply.changed;
}

// One after the other, so that a quick hand's decisions are written in its order.
let queue = Promise.resolve();
function later(work) {
  queue = queue.then(work).catch((error) => say(`not written: ${error.message}`, true));
  return queue;
}

function decide(action, label = "") {
  const element = card();
  if (!element || !element.dataset.actions.split(" ").includes(action)) return;
  const from = current;
  const id = element.dataset.id;
  const cluster = joined !== "" && element.dataset.cluster === joined;
  later(async () => {
    const changed = await send([{ id, action, label }], cluster);
    undoable.push({ changed, from });
    const total = changed.length > 1 ? ` · ${changed.length} images` : "";
    say(`${action}${label && ` → ${label}`}${total}`);
  });
  joined = "";
  go(current + 1).then(marked);
}

function undo() {
  later(async () => {
    const last = undoable.pop();
    if (last) {
      const restored = last.changed.map(({ id, before }) => ({ id, ...(before ?? { action: "undo" }) }));
      await send(restored, false);
      say("undone");
      await go(last.from);
    } else {
      await retract(card());
    }
  });
}

async function retract(element) {
  if (!element?.dataset.action) return;
  const cluster = joined !== "" && element.dataset.cluster === joined;
  await send([{ id: element.dataset.id, action: "undo" }], cluster);
  say("undone");
}

function relabel() {
  const element = card();
  if (!element || !element.dataset.actions.split(" ").includes("relabel")) return;
  input.value = element.dataset.suggested;
  dialog.querySelector(".fault").textContent = "";
  dialog.showModal();
  input.select();
}

function together() {
  const cluster = card()?.dataset.cluster ?? "";
  joined = joined === cluster || !card()?.querySelector(".cluster") ? "" : cluster;
  marked();
}

dialog.querySelector("form").addEventListener("submit", (event) => {
  const options = [...dialog.querySelectorAll("option")];
  if (options.some((option) => option.value === input.value)) return decide("relabel", input.value);
  event.preventDefault();
  dialog.querySelector(".fault").textContent = "There is no such class.";
});
dialog.querySelector("[value=cancel]").addEventListener("click", () => dialog.close());

const doing = {
  keep: () => decide("keep"),
  drop: () => decide("drop"),
  repair: () => decide("repair"),
  relabel,
  cluster: together,
};
const keys = {
  k: doing.keep, d: doing.drop, r: doing.repair, l: relabel, c: together, u: undo,
  ArrowRight: () => go(current + 1),
  ArrowLeft: () => go(current - 1),
  ArrowDown: () => go(Math.min(current + columns(), count - 1)),
  ArrowUp: () => go(Math.max(current - columns(), 0)),
};

document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

if (main) {
  document.addEventListener("keydown", (event) => {
    if (dialog.open || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  main.addEventListener("click", async (event) => {
    const element = event.target.closest(".card");
    if (!element) return;
    await go(place(element), { scroll: false });
    const action = event.target.closest("button")?.dataset.do;
    if (action === "undo") later(() => retract(element));
    else if (action) doing[action]();
  });
  main.addEventListener("load", ({ target }) => {
    target.classList.toggle("small", target.naturalWidth < target.clientWidth); // square pixels
  }, true);
  const start = Number(main.dataset.start);
  chunkOf(start).scrollIntoView();
  go(start).then(() => start && card()?.scrollIntoView({ block: "center" }));
}
