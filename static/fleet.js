/* Small helpers; every page works without them. htmx does the asking, this does what only the browser can. */
(function () {
  "use strict";
  /* The same sentence is not piled up by a page that asks every few seconds; only its note (a reference) is renewed. */
  function toast(text, status, note) {
    const region = document.getElementById("toasts");
    let box = Array.from(region.querySelectorAll(".toast")).find((each) => each.dataset.text === text);
    if (!box) {
      box = document.getElementById("toast-template").content.cloneNode(true).querySelector(".toast");
      const glyph = { ok: "ok", warn: "warn", bad: "bad" }[status] || "info";
      box.querySelector("use").setAttribute("href", "#i-" + glyph);
      box.dataset.s = status || "off";
      box.dataset.text = text;
      region.append(box);
    }
    box.querySelector("p").textContent = note ? text + " " + note : text;
  }
  const failed = (words) => toast(words, "bad");

  document.addEventListener("toast", (event) => toast(event.detail.text, event.detail.status, event.detail.note));
  document.addEventListener("htmx:responseError", (event) => {
    const answer = event.detail.xhr;
    const told = (answer.getResponseHeader("HX-Trigger") || "").includes('"toast"');
    if (!told && !answer.getResponseHeader("HX-Redirect")) {
      failed(document.getElementById("toasts").dataset.failed);
    }
  });
  document.addEventListener("htmx:sendError", () => failed(document.getElementById("toasts").dataset.offline));

  /* aria-invalid follows the feedback; aria-busy the request. */
  function judge(feedback) {
    const wrong = Boolean(feedback.querySelector(".error"));
    const control = document.getElementById(feedback.dataset.for);
    const group = feedback.parentElement.querySelectorAll("input, select, textarea");
    for (const each of control ? [control] : group) {
      if (wrong) each.setAttribute("aria-invalid", "true");
      else each.removeAttribute("aria-invalid");
    }
  }
  document.addEventListener("htmx:afterSwap", (event) => {
    const target = event.detail.target;
    if (!target) return; /* htmx restores a page of the history */
    if (target.dataset && target.dataset.for) judge(target);
    if (target.id === "dialog" && !target.open && target.childElementCount) target.showModal();
  });
  document.addEventListener("htmx:beforeRequest", (event) => event.detail.target.setAttribute("aria-busy", "true"));
  document.addEventListener("htmx:afterRequest", (event) => event.detail.target.removeAttribute("aria-busy"));

  /* Dialog: closed by its own button, by Escape, or by the server's `dialog-close`; emptied when it is closed. */
  const dialog = document.getElementById("dialog");
  document.addEventListener("dialog-close", () => dialog.close());
  dialog.addEventListener("close", () => dialog.replaceChildren());

  document.addEventListener("click", (event) => {
    const close = event.target.closest("[data-close]");
    if (close) close.closest(".toast").remove();
    if (event.target.closest("[data-close-dialog]")) dialog.close();
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });

  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea, [contenteditable]");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const fields = document.querySelectorAll("[aria-keyshortcuts='/']");
      const field = Array.from(fields).find((each) => each.offsetParent);
      if (field) { event.preventDefault(); field.focus(); field.select(); }
    }
    const menu = event.key === "Escape" && document.querySelector("details.menu[open]");
    if (menu) { menu.open = false; menu.querySelector("summary").focus(); }
  });

  /* Ticks: one box for all on the page, and a count that follows. data-ticks names the boxes. */
  function count(form) {
    const boxes = Array.from(form.querySelectorAll("input[type=checkbox][name='" + form.dataset.ticks + "']"));
    const here = boxes.filter((box) => box.checked).length;
    const bulk = form.querySelector("[data-elsewhere]");
    const elsewhere = bulk ? Number(bulk.dataset.elsewhere) : 0; /* ticked on other pages: the server keeps them */
    const all = form.querySelector("[data-tick-all]");
    if (all) {
      all.checked = here > 0 && here === boxes.length;
      all.indeterminate = here > 0 && here < boxes.length;
    }
    const total = here + elsewhere;
    const words = (n) => n.toLocaleString("en-US");
    for (const place of form.querySelectorAll("[data-tick-count]")) place.textContent = words(total);
    for (const place of form.querySelectorAll("[data-tick-noun]")) place.textContent = total === 1 ? "machine" : "machines";
    for (const place of form.querySelectorAll("[data-tick-split]")) {
      place.textContent = elsewhere ? ", " + words(here) + " here and " + words(elsewhere) + " on other pages" : "";
    }
  }
  function counted(root) {
    const forms = root.matches && root.matches("form[data-ticks]") ? [root] : root.querySelectorAll("form[data-ticks]");
    for (const form of forms) count(form);
    const around = root.closest && root.closest("form[data-ticks]");
    if (around) count(around);
  }
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-ticks]");
    if (!form) return;
    if (event.target.matches("[data-tick-all]")) {
      for (const box of form.querySelectorAll("input[type=checkbox][name='" + form.dataset.ticks + "']")) {
        box.checked = event.target.checked;
      }
    }
    if (event.target.type === "checkbox") count(form);
  }, true); /* before htmx sends the form */
  document.addEventListener("htmx:afterSettle", (event) => counted(event.detail.target || document));
  document.addEventListener("DOMContentLoaded", () => counted(document));
  window.addEventListener("pageshow", () => counted(document)); /* Back restores ticks without a change event. */
})();
