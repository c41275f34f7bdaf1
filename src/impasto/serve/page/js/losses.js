// The losses of a run, drawn as they fall: content and style, on a logarithmic scale.

import { byId } from "./dom.js";
import { t } from "./texts.js";

export function draw(history, evaluations) {
  const canvas = byId("losses");
  const ratio = window.devicePixelRatio || 1;
  const [wide, high] = [canvas.clientWidth || 640, canvas.clientHeight || 140];
  canvas.width = wide * ratio;
  canvas.height = high * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const points = history.filter(([, total]) => total > 0);
  if (points.length < 2) return;
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  const values = points.flatMap(([, , content, own]) => [content, own]).filter((one) => one > 0).map(Math.log10);
  const [low, top] = [Math.min(...values), Math.max(...values)];
  const edge = { left: 52, right: 6, top: 8, bottom: 18 };
  const x = (evaluation) => edge.left + (wide - edge.left - edge.right) * (evaluation / Math.max(evaluations, points.at(-1)[0]));
  const y = (value) => edge.top + (high - edge.top - edge.bottom) * (1 - (Math.log10(value) - low) / Math.max(top - low, 1e-6));
  axes(pen, { low, top, y, wide, high, edge, ink: color("--soft"), line: color("--line"), evaluations });
  for (const [place, name] of [[2, "--second"], [3, "--accent"]]) {
    pen.strokeStyle = color(name);
    pen.lineWidth = 2;
    pen.beginPath();
    points.filter((point) => point[place] > 0).forEach((point, index) => pen[index ? "lineTo" : "moveTo"](x(point[0]), y(point[place])));
    pen.stroke();
  }
  const [, total, content, own] = points.at(-1);
  canvas.setAttribute("aria-label", t("losses.label", { total: total.toPrecision(3), content: content.toPrecision(3), style: own.toPrecision(3) }));
}

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
