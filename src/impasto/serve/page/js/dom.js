// Elements without markup in strings: the page's Trusted Types policy allows none.

export const byId = (id) => document.getElementById(id);

// h("button", {class: "small", onclick: f, "aria-label": "x"}, "text", child)
export function h(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "class") made.className = value;
    else if (name in made && !name.startsWith("aria") && !name.startsWith("data-")) made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

export function show(element, wanted) {
  element.hidden = !wanted;
}

// Lines in a list that is not there without any.
export function list(element, lines) {
  element.replaceChildren(...lines.map((line) => h("li", {}, line)));
  show(element, lines.length > 0);
}

// Blob URLs that replace each other are given back.
const held = new WeakMap();
export function picture(image, blob) {
  const before = held.get(image);
  const url = URL.createObjectURL(blob);
  held.set(image, url);
  image.src = url;
  if (before) setTimeout(() => URL.revokeObjectURL(before), 2000);
}

export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

export function complain(sentence) {
  const box = byId("error");
  box.querySelector("p").textContent = sentence;
  show(box, true);
}

export function quiet() {
  show(byId("error"), false);
}

export function say(sentence) {
  byId("live").textContent = sentence;
}
