"use strict";
// Hover, zoom and keyboard reading for the line charts; the static drawing stays as it is without this script.
(() => {
  const NS = "http://www.w3.org/2000/svg", H = 320, L = 62, R = 16, T = 14, B = 42;
  const make = (name, attributes, parent) => {
    const element = document.createElementNS(NS, name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    if (parent) parent.append(element);
    return element;
  };
  const ticks = (low, high, about = 6) => {
    const rough = (high - low) / about, power = 10 ** Math.floor(Math.log10(rough));
    const step = power * ([1, 2, 2.5, 5].find((factor) => power * factor >= rough) || 10), out = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) out.push(+(i * step).toPrecision(12));
    return out;
  };
  const label = (value) => (Math.abs(value) >= 1e6 ? +(value / 1e6).toPrecision(6) + "M"
    : Math.abs(value) >= 1e4 ? +(value / 1e3).toPrecision(6) + "k" : String(+value.toPrecision(6)));

  for (const figure of document.querySelectorAll("figure[data-chart]")) {
    const data = JSON.parse(figure.querySelector("script").textContent);
    const frame = figure.querySelector(".frame"), svg = frame.querySelector("svg");
    const axes = svg.querySelector(".axes"), plot = svg.querySelector(".plot"), full = data.box;
    let box = full.slice(), at = -1, W = 720;
    const px = (x) => L + ((x - box[0]) / (box[1] - box[0])) * (W - L - R);
    const py = (y) => H - B - ((y - box[2]) / (box[3] - box[2])) * (H - T - B);
    const readout = document.createElement("p");
    readout.className = "readout";
    readout.setAttribute("aria-live", "polite");
    figure.append(readout);
    const tools = document.createElement("div");
    tools.className = "tools";
    const shapes = [...plot.children];
    const name = [...svg.children].find((one) => one.tagName === "text" && !one.hasAttribute("transform"));
    const cursor = make("line", { class: "cursor", y1: T, y2: H - B, visibility: "hidden" }, plot);
    const brush = make("rect", { class: "brush", y: T, height: H - T - B, visibility: "hidden" }, plot);
    const xs = [...new Set(data.series.flatMap((one) => one.points.map((p) => p[0])))].sort((a, b) => a - b);

    // The drawing takes the width there is, so that its text keeps its size on a phone.
    const fit = () => {
      W = Math.max(280, frame.clientWidth);
      svg.setAttribute("viewBox", `0 0 ${W} ${H}`);
      plot.setAttribute("width", W - L - R);
      plot.setAttribute("viewBox", `${L} ${T} ${W - L - R} ${H - T - B}`);
      name.setAttribute("x", (L + W - R) / 2);
      draw();
    };
    const draw = () => {
      axes.replaceChildren();
      for (const x of ticks(box[0], box[1], W / 110))
        make("text", { class: "tick", x: px(x), y: H - B + 18, "text-anchor": "middle" }, axes).textContent = label(x);
      for (const y of ticks(box[2], box[3])) {
        make("line", { class: "grid", x1: L, x2: W - R, y1: py(y), y2: py(y) }, axes);
        make("text", { class: "tick", x: L - 8, y: py(y) + 4, "text-anchor": "end" }, axes).textContent = label(y);
      }
      data.series.forEach((one, i) => {
        if (one.dots) one.points.forEach(([x, y], j) => {
          const dot = shapes[i].children[j];
          dot.setAttribute("cx", px(x)); dot.setAttribute("cy", py(y));
        });
        else shapes[i].setAttribute("points", one.points.map(([x, y]) => px(x).toFixed(1) + "," + py(y).toFixed(1)).join(" "));
      });
      data.marks.forEach((mark, i) => shapes[data.series.length + i]
        .setAttribute("d", `M${px(mark.x)} ${py(mark.y) - 5}l5 5l-5 5l-5 -5z`));
      figure.dataset.zoom = box[0] === full[0] && box[1] === full[1] ? "out" : "in";
    };
    const read = (x) => {
      const parts = [];
      for (const one of data.series) {
        let best = null;
        for (const p of one.points) if (!best || Math.abs(p[0] - x) < Math.abs(best[0] - x)) best = p;
        if (best && Math.abs(best[0] - x) <= (box[1] - box[0]) / 20) parts.push(`${one.name} ${best[1]}`);
      }
      for (const mark of data.marks) if (Math.abs(px(mark.x) - px(x)) < 12) parts.push(mark.name);
      cursor.setAttribute("x1", px(x)); cursor.setAttribute("x2", px(x)); cursor.setAttribute("visibility", "visible");
      readout.textContent = `${data.x} ${label(x)}: ${parts.join("; ")}`;
    };
    // The height follows what the chosen stretch holds, so that zooming into the end of a run shows its detail.
    const zoom = (low, high) => {
      const least = (full[1] - full[0]) / 1000;
      low = Math.max(full[0], low); high = Math.min(full[1], high);
      if (high - low < least) return;
      box = [low, high, full[2], full[3]];
      if (low > full[0] || high < full[1]) {
        const ys = data.series.flatMap((one) => one.points).concat(data.marks.map((m) => [m.x, m.y]))
          .filter((p) => p[0] >= low && p[0] <= high).map((p) => p[1]);
        if (ys.length > 1) {
          const bottom = Math.min(...ys), top = Math.max(...ys), margin = (top - bottom || 1) * 0.06;
          box[2] = bottom - margin; box[3] = top + margin;
        }
      }
      cursor.setAttribute("visibility", "hidden");
      draw();
    };
    const scale = (factor, around) => zoom(around - (around - box[0]) * factor, around + (box[1] - around) * factor);
    const middle = () => (at >= 0 ? xs[at] : (box[0] + box[1]) / 2);
    const actions = [["−", "zoom out", () => scale(2, middle())], ["+", "zoom in", () => scale(0.5, middle())], ["all", "show everything", () => zoom(full[0], full[1])]];
    for (const [text, name, act] of actions) {
      const button = document.createElement("button");
      button.type = "button"; button.textContent = text;
      button.setAttribute("aria-label", `${figure.querySelector("figcaption").textContent}: ${name}`);
      button.addEventListener("click", act);
      tools.append(button);
    }
    figure.append(tools);
    const where = (event) => {
      const bounds = svg.getBoundingClientRect();
      const x = ((event.clientX - bounds.left) / bounds.width) * W;
      return box[0] + ((Math.min(Math.max(x, L), W - R) - L) / (W - L - R)) * (box[1] - box[0]);
    };
    let from = null;
    svg.addEventListener("pointerdown", (event) => { if (event.pointerType === "mouse" && event.button === 0) from = where(event); });
    svg.addEventListener("pointermove", (event) => {
      const x = where(event);
      at = xs.reduce((best, value, i) => (Math.abs(value - x) < Math.abs(xs[best] - x) ? i : best), 0);
      read(xs[at]);
      if (from !== null) {
        brush.setAttribute("x", px(Math.min(from, x))); brush.setAttribute("width", Math.abs(px(x) - px(from)));
        brush.setAttribute("visibility", "visible");
      }
    });
    addEventListener("pointerup", (event) => {
      if (from === null) return;
      const to = where(event), start = from;
      from = null;
      brush.setAttribute("visibility", "hidden");
      if (Math.abs(px(to) - px(start)) > 8) zoom(Math.min(start, to), Math.max(start, to));
    });
    svg.addEventListener("dblclick", () => zoom(full[0], full[1]));
    svg.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.shiftKey) return; // the page scrolls as ever
      event.preventDefault();
      scale(event.deltaY + event.deltaX > 0 ? 1.25 : 0.8, where(event));
    }, { passive: false });
    frame.addEventListener("keydown", (event) => {
      const inside = (i) => xs[i] >= box[0] && xs[i] <= box[1];
      const move = (step) => {
        if (at < 0 || !inside(at)) at = xs.findIndex((_, i) => inside(i));
        else at = Math.min(Math.max(at + step, 0), xs.length - 1);
        if (at >= 0) read(xs[at]);
      };
      const keys = { ArrowRight: () => move(1), ArrowLeft: () => move(-1), PageDown: () => move(20), PageUp: () => move(-20),
        "+": actions[1][2], "=": actions[1][2], "-": actions[0][2], 0: actions[2][2] };
      if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      keys[event.key]();
    });
    frame.classList.add("live");
    new ResizeObserver(fit).observe(frame);
    fit();
  }
  // Print everything: what is folded on the screen is open on paper.
  let opened = [];
  addEventListener("beforeprint", () => { opened = [...document.querySelectorAll("details:not([open])")]; for (const one of opened) one.open = true; });
  addEventListener("afterprint", () => { for (const one of opened) one.open = false; opened = []; });
})();
