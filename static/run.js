/* The poll may swap a button while the dialog that it opened stands over it: focus goes back to the button of that id. */
(function () {
  "use strict";
  let opener = "";
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[hx-target='#dialog'][id]");
    if (link) opener = link.id;
  });
  document.getElementById("dialog").addEventListener("close", () => {
    const link = opener && document.getElementById(opener);
    if (link && !document.activeElement.closest("main [href], main button")) link.focus();
  });
})();
