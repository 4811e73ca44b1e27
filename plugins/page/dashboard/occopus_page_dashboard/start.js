// Fetches the page again where a part of it did not arrive, as when the network of a laptop changes: it would stay empty.

const AGAIN_SECONDS = 2;

const lost = (event) => {
  if (!event.target.matches?.("script, link[rel=stylesheet]")) return;
  window.removeEventListener("error", lost, true);
  document.body?.append("A part of this page did not arrive. It is fetched again…");
  setTimeout(() => location.reload(), AGAIN_SECONDS * 1000);
};
window.addEventListener("error", lost, true); // it does not bubble
