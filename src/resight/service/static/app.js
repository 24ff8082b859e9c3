// Keyboard shortcuts, and the box around a person on an uploaded picture. Everything works without this file, more slowly.
"use strict";

const items = () => [...document.querySelectorAll("[data-item]")];
const current = () => document.querySelector(".current") || document.activeElement?.closest?.("[data-item]") || null;

function move(step) {
  const all = items();
  if (!all.length) return;
  const place = all.indexOf(current());
  const next = all[Math.min(Math.max(place + step, 0), all.length - 1)];
  document.querySelector(".current")?.classList.remove("current");
  next.classList.add("current");
  next.querySelector("a, button")?.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

function press(selector) {
  const item = current() || (items().length === 1 ? items()[0] : null);
  const target = item?.querySelector(selector);
  if (!target) return false;
  item.classList.add("current");
  target.click();
  return true;
}

const SHORTCUTS = {
  j: () => move(1),
  k: () => move(-1),
  s: () => press("[data-search]"),
  e: () => press("[data-explain]"),
  c: () => press("[data-confirm]"),
  r: () => press("[data-reject]"),
  u: () => press("[data-undo]"),
  "/": () => document.querySelector(".filters input:not([type=hidden])")?.focus(),
  "?": () => document.getElementById("keys").showModal(),
};

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input:not([type=checkbox]), select, textarea, dialog");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (SHORTCUTS[event.key]) {
    event.preventDefault();
    SHORTCUTS[event.key]();
  }
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-keys]")) document.getElementById("keys").showModal();
});

document.addEventListener("focusin", (event) => {
  const item = event.target.closest("[data-item]");
  const marked = document.querySelector(".current");
  if (marked && item !== marked) marked.classList.remove("current");
});

// A label replaces its own form: keep the keyboard focus at the place where it was.
document.addEventListener("htmx:afterSwap", (event) => {
  const item = event.detail.target.closest?.("[data-item]");
  if (item && document.activeElement === document.body) item.querySelector(".identity button, a")?.focus({ preventScroll: true });
});

// A page that replaces the one before it starts at its content, as a loaded page would.
document.addEventListener("htmx:pushedIntoHistory", () => document.getElementById("main")?.focus({ preventScroll: true }));

let picture = null;

function draw() {
  const canvas = document.querySelector("[data-canvas]");
  if (!canvas || !picture) return;
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  const [left, top, right, bottom] = ["left", "top", "right", "bottom"].map(
    (edge, i) => (document.querySelector(`[data-edge=${edge}]`).value / 100) * (i % 2 ? canvas.height : canvas.width),
  );
  context.fillStyle = "rgb(0 0 0 / .45)";
  context.beginPath();
  context.rect(0, 0, canvas.width, canvas.height);
  context.rect(left, top, right - left, bottom - top);
  context.fill("evenodd");
  context.strokeStyle = "#fff";
  context.lineWidth = 2;
  context.strokeRect(left, top, right - left, bottom - top);
}

document.addEventListener("change", (event) => {
  if (!event.target.matches("[data-pictures]")) return;
  const file = event.target.files[0];
  const boxes = document.querySelector("[data-boxes]");
  boxes.hidden = true;
  if (!file) return;
  const image = new Image();
  image.onload = () => {
    URL.revokeObjectURL(image.src);
    picture = image;
    const canvas = document.querySelector("[data-canvas]");
    const scale = Math.min(1, 480 / image.naturalWidth, 480 / image.naturalHeight);
    canvas.width = Math.round(image.naturalWidth * scale);
    canvas.height = Math.round(image.naturalHeight * scale);
    boxes.hidden = false;
    draw();
  };
  image.src = URL.createObjectURL(file);
});

document.addEventListener("input", (event) => {
  if (event.target.matches("[data-edge]")) draw();
});

let corner = null;

function drag(event) {
  const canvas = document.querySelector("[data-canvas]");
  const area = canvas.getBoundingClientRect();
  const share = (value, start, size) => Math.min(Math.max(((value - start) / size) * 100, 0), 100);
  const at = [share(event.clientX, area.left, area.width), share(event.clientY, area.top, area.height)];
  corner ??= at;
  const edges = { left: Math.min(corner[0], at[0]), right: Math.max(corner[0], at[0]), top: Math.min(corner[1], at[1]), bottom: Math.max(corner[1], at[1]) };
  for (const [edge, value] of Object.entries(edges)) document.querySelector(`[data-edge=${edge}]`).value = value.toFixed(1);
  draw();
}

document.addEventListener("pointerdown", (event) => {
  if (!event.target.matches?.("[data-canvas]")) return;
  event.target.setPointerCapture(event.pointerId);
  corner = null;
  drag(event);
});
document.addEventListener("pointermove", (event) => {
  if (corner) drag(event);
});
document.addEventListener("pointerup", () => {
  corner = null;
});
