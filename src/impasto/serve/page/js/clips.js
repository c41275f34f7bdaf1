// @ts-check
// Films that come in: their size, length and first frame, as far as the browser plays them; the server reads more.

import { small } from "./pictures.js";

const PATIENCE = 8000; // ms for a frame
const EARLY = 0.04; // seconds; the very first frame is black in some films

/**
 * @param {Blob} file
 * @returns {Promise<HTMLVideoElement | null>} at an early frame; null if the browser does not play it
 */
function opened(file) {
  return new Promise((done) => {
    const video = document.createElement("video");
    const url = URL.createObjectURL(file);
    const end = (/** @type {HTMLVideoElement | null} */ found) => { clearTimeout(timer); URL.revokeObjectURL(url); done(found); };
    const timer = setTimeout(() => end(null), PATIENCE);
    Object.assign(video, { muted: true, preload: "auto", playsInline: true });
    video.onerror = () => end(null);
    video.onloadeddata = () => { video.currentTime = Math.min(EARLY, (video.duration || 0) / 2); };
    video.onseeked = () => end(video);
    video.src = url;
  });
}

/** @param {Blob} file @returns {Promise<HTMLCanvasElement | null>} an early frame in full size */
export async function frame(file) {
  const video = await opened(file);
  return video?.videoWidth ? drawn(video) : null;
}

/** @param {HTMLVideoElement} video */
function drawn(video) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext("2d")?.drawImage(video, 0, 0);
  return canvas;
}

/**
 * What is known of a clip; nothing of one that the browser does not play.
 * @param {Blob} file
 * @returns {Promise<{width: number | null, height: number | null, seconds: number | null, thumb: Blob | null}>}
 */
export async function look(file) {
  const video = await opened(file);
  if (!video?.videoWidth) return { width: null, height: null, seconds: null, thumb: null };
  const seconds = Number.isFinite(video.duration) ? video.duration : null;
  return { width: video.videoWidth, height: video.videoHeight, seconds, thumb: await small(drawn(video)) };
}
