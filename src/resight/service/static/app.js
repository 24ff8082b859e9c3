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
  o: () => press("[data-recording]"),
  ",": () => document.querySelector('[data-step=","]')?.click(),
  ".": () => document.querySelector('[data-step="."]')?.click(),
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

// The box around a person on a picture.
const EDGES = ["left", "top", "right", "bottom"];
let picture = null;
let corner = null;

const field = (edge) => document.querySelector(`[data-edge=${edge}]`);
const edges = () => (EDGES.every((edge) => field(edge).value !== "") ? EDGES.map((edge) => Number(field(edge).value)) : null);

function setBox(values) {
  EDGES.forEach((edge, i) => { field(edge).value = Math.min(Math.max(values[i], 0), 100).toFixed(1); });
  draw();
}

function draw() {
  const canvas = document.querySelector("[data-canvas]");
  if (!canvas || !picture) return;
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  const box = edges();
  if (!box) return;
  const [left, top, right, bottom] = box.map((value, i) => (value / 100) * (i % 2 ? canvas.height : canvas.width));
  context.fillStyle = "rgb(0 0 0 / .45)";
  context.beginPath();
  context.rect(0, 0, canvas.width, canvas.height);
  context.rect(left, top, right - left, bottom - top);
  context.fill("evenodd");
  context.strokeStyle = "#fff";
  context.lineWidth = Math.max(2, canvas.width / 400);
  context.strokeRect(left, top, right - left, bottom - top);
}

function show(image, most, enlarge = 1) {
  picture = image;
  const canvas = document.querySelector("[data-canvas]");
  const scale = Math.min(enlarge, most / image.naturalWidth, most / image.naturalHeight);
  canvas.width = Math.round(image.naturalWidth * scale);
  canvas.height = Math.round(image.naturalHeight * scale);
  document.querySelector("[data-boxes]").hidden = false;
  draw();
}

document.addEventListener("change", (event) => {
  if (!event.target.matches("[data-pictures]")) return;
  const file = event.target.files[0];
  document.querySelector("[data-boxes]").hidden = true;
  if (!file) return;
  const image = new Image();
  image.onload = () => {
    URL.revokeObjectURL(image.src);
    show(image, 480);
  };
  image.src = URL.createObjectURL(file);
});

// A picture of a recording becomes a canvas that can be drawn on.
async function showScene() {
  const image = document.querySelector("[data-scene]:not([hidden])");
  if (!image) return;
  await image.decode().catch(() => {});
  if (!image.isConnected || !image.naturalWidth) return;
  image.hidden = true;
  show(image, 1600, 2);
}
document.addEventListener("DOMContentLoaded", showScene);
document.addEventListener("htmx:afterSettle", showScene);

document.addEventListener("input", (event) => {
  if (event.target.matches("[data-edge]")) draw();
});

document.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (!step || !event.target.matches?.("[data-canvas]") || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  const whole = edges()?.every((value, i) => value === (i < 2 ? 0 : 100));
  const [left, top, right, bottom] = (!whole && edges()) || [40, 25, 60, 75];
  const [x, y] = event.shiftKey ? step : [Math.min(Math.max(step[0], -left), 100 - right), Math.min(Math.max(step[1], -top), 100 - bottom)];
  setBox(event.shiftKey ? [left, top, Math.max(right + x, left + 1), Math.max(bottom + y, top + 1)] : [left + x, top + y, right + x, bottom + y]);
});

function drag(event) {
  const canvas = document.querySelector("[data-canvas]");
  const area = canvas.getBoundingClientRect();
  const at = [((event.clientX - area.left) / area.width) * 100, ((event.clientY - area.top) / area.height) * 100];
  corner ??= at;
  setBox([Math.min(corner[0], at[0]), Math.min(corner[1], at[1]), Math.max(corner[0], at[0]), Math.max(corner[1], at[1])]);
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
