// What every part of the page is made with.

import htm from "./lib/htm.js";
import { h } from "./lib/preact.js";

export { Fragment, render } from "./lib/preact.js";
export { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./lib/hooks.js";

export const html = htm.bind(h);

// Announcements for screen readers, and short notices that everybody sees; see app.js.
const listeners = new Set();
export const onNotice = (listener) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};
const tell = (notice) => listeners.forEach((listener) => listener(notice));
export const announce = (text) => tell({ text, quiet: true });
export const notify = (text, bad = false) => tell({ text, bad });

export const plural = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
