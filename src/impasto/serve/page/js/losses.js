// @ts-check
// The losses of a run, drawn as they fall on a logarithmic scale: a curve for each name but `total`.

import { byId, canvas as canvasOf, h } from "./dom.js";
import { named, t } from "./texts.js";

const COLORS = ["--second", "--accent", "--good", "--soft"]; // of the curves, in the order of the names

/**
 * @param {any[]} history
 * @param {number} evaluations
 */
export function draw(history, evaluations) {
  const canvas = canvasOf("losses");
  const ratio = window.devicePixelRatio || 1;
  const [wide, high] = [canvas.clientWidth || 640, canvas.clientHeight || 140];
  canvas.width = wide * ratio;
  canvas.height = high * ratio;
  const pen = canvas.getContext("2d");
  if (!pen) return;
  pen.scale(ratio, ratio);
  const points = history.filter((point) => point.losses.total > 0);
  if (points.length < 2) return;
  const last = points.at(-1);
  const names = Object.keys(last.losses).filter((name) => name !== "total");
  const style = getComputedStyle(document.documentElement);
  const color = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  const values = points.flatMap((point) => names.map((name) => point.losses[name])).filter((loss) => loss > 0).map(Math.log10);
  const [low, top] = [Math.min(...values), Math.max(...values)];
  const edge = { left: 52, right: 6, top: 8, bottom: 18 };
  const x = (/** @type {number} */ evaluation) => edge.left + (wide - edge.left - edge.right) * (evaluation / Math.max(evaluations, last.evaluation));
  const y = (/** @type {number} */ value) => edge.top + (high - edge.top - edge.bottom) * (1 - (Math.log10(value) - low) / Math.max(top - low, 1e-6));
  axes(pen, { low, top, y, wide, high, edge, ink: color("--soft"), line: color("--line"), evaluations });
  names.forEach((name, number) => {
    pen.strokeStyle = color(COLORS[number % COLORS.length]);
    pen.lineWidth = 2;
    pen.beginPath();
    points.filter((point) => point.losses[name] > 0).forEach((point, index) => pen[index ? "lineTo" : "moveTo"](x(point.evaluation), y(point.losses[name])));
    pen.stroke();
  });
  legend(names);
  const losses = Object.entries(last.losses).map(([name, loss]) => `${named("loss_names", name, name)} ${Number(loss).toPrecision(3)}`);
  canvas.setAttribute("aria-label", t("losses.label", { losses: losses.join(", ") }));
}

/** @param {string[]} names */
function legend(names) {
  const labels = names.map((name, number) => h("span", { class: `curve-${number % COLORS.length}` }, named("loss_names", name, name)));
  byId("loss-names").replaceChildren(...labels);
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Record<string, any>} place
 */
function axes(pen, { low, top, y, wide, high, edge, ink, line, evaluations }) {
  pen.font = "11px system-ui";
  pen.fillStyle = ink;
  pen.strokeStyle = line;
  pen.lineWidth = 1;
  for (const value of [10 ** low, 10 ** ((low + top) / 2), 10 ** top]) {
    pen.beginPath();
    pen.moveTo(edge.left, y(value));
    pen.lineTo(wide - edge.right, y(value));
    pen.stroke();
    pen.textAlign = "right";
    pen.fillText(value.toPrecision(2), edge.left - 6, y(value) + 4);
  }
  pen.textAlign = "left";
  pen.fillText("0", edge.left, high - 4);
  pen.textAlign = "right";
  pen.fillText(String(evaluations), wide - edge.right, high - 4);
}
