// What keyboards and screen readers need: a level for the captions of the sidebar, and code that can be scrolled.
document.addEventListener("DOMContentLoaded", () => {
  for (const caption of document.querySelectorAll("p.caption[role=heading]")) caption.setAttribute("aria-level", "2");
  for (const code of document.querySelectorAll("pre")) code.tabIndex = 0;
});
