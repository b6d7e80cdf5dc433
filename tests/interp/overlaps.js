// Pairs of texts or controls of a page that cover each other, as [text, text, width, height].
() => {
  const SLACK = 3; // pixels that boxes may share: they are higher than the letters in them
  const items = [];
  function add(element, text, box) {
    if (getComputedStyle(element).clipPath === "inset(50%)") return; // for screen readers alone
    const scroller = element.closest(".scroller, pre")?.getBoundingClientRect();
    const left = Math.max(box.left, scroller?.left ?? -Infinity);
    const right = Math.min(box.right, scroller?.right ?? Infinity);
    if (right - left > 1 && box.height > 1) {
      items.push({ element, text: text.trim().slice(0, 40), left, right, top: box.top, bottom: box.bottom });
    }
  }
  const controls = ".modebar-btn, .updatemenu-button, button, input, summary";
  for (const control of document.querySelectorAll(controls)) {
    if (!control.checkVisibility()) continue;
    add(control, control.dataset.title ?? control.textContent, control.getBoundingClientRect());
  }
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, parent = node.parentElement;
    if (!node.data.trim() || !parent.checkVisibility() || parent.closest("script, style, noscript, svg")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) add(parent, node.data, box);
  }
  for (const text of document.querySelectorAll(".plot svg text")) {
    const { a, b } = text.getScreenCTM();
    const isSlanted = Math.abs(a) > 0.01 && Math.abs(b) > 0.01; // its box is larger than it is
    if (text.textContent.trim() && !isSlanted) add(text, text.textContent, text.getBoundingClientRect());
  }
  items.sort((one, other) => one.top - other.top);
  const found = [];
  items.forEach((one, index) => {
    for (let next = index + 1; next < items.length; next++) {
      const other = items[next];
      const height = Math.min(one.bottom, other.bottom) - other.top;
      if (height <= SLACK) {
        if (other.top > one.bottom) break;
        continue;
      }
      const width = Math.min(one.right, other.right) - Math.max(one.left, other.left);
      const isSame = one.element.contains(other.element) || other.element.contains(one.element);
      const button = one.element.closest(".updatemenu-button");
      if (width > SLACK && !isSame && !(button && button === other.element.closest(".updatemenu-button"))) {
        found.push([one.text, other.text, Math.round(width), Math.round(height)]);
      }
    }
  });
  return found;
}
