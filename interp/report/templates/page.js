"use strict";

// Draws every figure one after the other, so that the page can be read meanwhile.
(async () => {
  const isTouch = matchMedia("(pointer: coarse)").matches;
  const config = {
    responsive: true,
    displaylogo: false,
    showSendToCloud: false, // nothing leaves the page
    displayModeBar: isTouch ? false : "hover",
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
    toImageButtonOptions: { format: "svg" },
  };
  const plots = [...document.querySelectorAll(".plot")];
  for (const plot of plots) {
    const { data, layout } = JSON.parse(plot.parentElement.querySelector("script").textContent);
    const entries = data.filter((trace) => trace.showlegend !== false && trace.name).length;
    if (innerWidth < 640) layout.height += 18 * Math.max(0, entries - 3); // the legend is a column
    for (const trace of data) {
      const cell = (plot.clientWidth - 160) / (trace.x?.length ?? 1);
      if (trace.type === "heatmap" && trace.texttemplate && cell < 26) delete trace.texttemplate;
    }
    if (isTouch) layout.dragmode = false; // a finger on a picture scrolls the page
    await Plotly.newPlot(plot, data, layout, config);
    await new Promise((resolve) => setTimeout(resolve));
  }
  addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((details) => (details.open = true));
  });
  document.documentElement.dataset.drawn = String(plots.length);
})();

// Hides models in tables and pictures, and sorts tables by their columns.
(() => {
  const boxes = [...document.querySelectorAll(".models input")];
  const all = document.querySelector("#all-models");

  const hidden = () => new Set(boxes.filter((box) => !box.checked).map((box) => box.value));

  function show(plot, gone) {
    if (!plot.data) return;
    const own = plot.data.map((trace, index) => [trace.meta?.model, index]).filter(([name]) => name);
    const visible = own.map(([name]) => !gone.has(name));
    if (own.length) Plotly.restyle(plot, { visible }, own.map(([, index]) => index));
  }

  function apply() {
    const gone = hidden();
    all.hidden = gone.size === 0;
    for (const row of document.querySelectorAll("tr[data-models]")) {
      row.hidden = JSON.parse(row.dataset.models).some((name) => gone.has(name));
    }
    document.querySelectorAll(".plot").forEach((plot) => show(plot, gone));
  }

  if (all) {
    boxes.forEach((box) => box.addEventListener("change", apply));
    all.addEventListener("click", () => {
      boxes.forEach((box) => (box.checked = true));
      apply();
    });
    // Browsers keep boxes as they were over a reload; pictures are drawn later than this runs.
    new MutationObserver(apply).observe(document.documentElement, { attributeFilter: ["data-drawn"] });
  }

  for (const button of document.querySelectorAll("button.sort")) {
    button.addEventListener("click", () => {
      const head = button.closest("th");
      const body = button.closest("table").tBodies[0];
      const column = Number(button.dataset.column);
      const down = head.getAttribute("aria-sort") === "ascending";
      button.closest("tr").querySelectorAll("th").forEach((th) => th.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const isNumber = head.classList.contains("number");
      const value = (row) => row.cells[column].dataset.sort;
      const rows = [...body.rows].sort((a, b) => {
        if (!isNumber) return (down ? -1 : 1) * value(a).localeCompare(value(b));
        const [x, y] = [value(a), value(b)].map(Number);
        if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y); // last
        return (down ? -1 : 1) * (x - y);
      });
      body.append(...rows);
    });
  }
})();
