// Returns sentences about what is wrong with a page. Colours are compared as WCAG 2.1 says (1.4.3): 4.5 to 1, large text 3 to 1.
() => {
  const wrong = new Set();
  const colour = (text) => {
    const found = text.match(/[\d.]+/g).map(Number);
    const scale = text.startsWith('color(') ? 255 : 1;
    return [...found.slice(0, 3).map((value) => value * scale), found[3] ?? 1];
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((value) => value / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
  const behind = (element) => {
    const layers = [];
    for (let one = element; one; one = one.parentElement) {
      layers.unshift(colour(getComputedStyle(one).backgroundColor));
      if (layers[0][3] === 1) break;
    }
    return layers.reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode.textContent.trim(), element = texts.currentNode.parentElement;
    if (!text || element.closest('svg, script, noscript, [hidden]') || !element.getClientRects().length) continue;
    const style = getComputedStyle(element), back = behind(element), front = over(colour(style.color), back);
    const [dark, bright] = [light(front), light(back)].sort((a, b) => a - b);
    const ratio = (bright + 0.05) / (dark + 0.05), large = parseFloat(style.fontSize) >= 24;
    if (ratio < (large ? 3 : 4.5)) wrong.add(`contrast ${ratio.toFixed(2)}: ${element.tagName}.${element.className} ${text.slice(0, 30)}`);
  }
  for (const one of document.querySelectorAll('a[href], button, input, select, textarea, th')) {
    if (one.closest('[hidden], dialog:not([open])') || !one.getClientRects().length) continue;
    const name = one.getAttribute('aria-label') || one.labels?.[0]?.textContent || one.title || one.textContent;
    if (!name.trim()) wrong.add(`no name: ${one.outerHTML.slice(0, 100)}`);
  }
  for (const one of document.querySelectorAll('canvas')) if (!one.closest('[role=img][aria-label]')) wrong.add('a chart without words');
  const ids = [...document.querySelectorAll('[id]')].map((one) => one.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) wrong.add(`twice: #${id}`);
  for (const one of document.querySelectorAll('[aria-controls], [aria-describedby]'))
    for (const name of ['aria-controls', 'aria-describedby'])
      for (const id of (one.getAttribute(name) ?? '').split(' ')) if (id && !document.getElementById(id)) wrong.add(`points nowhere: ${id}`);
  if (document.querySelectorAll('h1').length !== 1) wrong.add('not one h1');
  let level = 1;
  for (const one of document.querySelectorAll('main h1, main h2, main h3')) {
    if (+one.tagName[1] > level + 1) wrong.add(`a level left out: ${one.textContent}`);
    level = +one.tagName[1];
  }
  return [...wrong];
}
