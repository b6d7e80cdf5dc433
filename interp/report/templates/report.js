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
