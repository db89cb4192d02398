// What is wrong with a page for those who see little or nothing of it: text of too
// little contrast (WCAG 2.1, 1.4.3), what has no name, ids that are there twice or refer
// to nothing. An expression, for tests of pages in a browser.
(() => {
    const faults = [];
    const parse = (color) => {
        const [red, green, blue, alpha = 1] = color.match(/[\d.]+/g).map(Number);
        return [red, green, blue, alpha];
    };
    const over = (top, ground) => {
        const alpha = top[3];
        return [0, 1, 2].map((i) => top[i] * alpha + ground[i] * (1 - alpha)).concat(1);
    };
    const luminance = (color) => {
        const [red, green, blue] = color.map((value) => {
            const part = value / 255;
            return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const groundOf = (element) => {
        if (!element) return [255, 255, 255, 1];
        const color = parse(getComputedStyle(element).backgroundColor);
        return color[3] === 1 ? color : over(color, groundOf(element.parentElement));
    };
    for (const element of document.querySelectorAll('body *')) {
        const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
        if (!hasText || !element.checkVisibility() || element.closest(':disabled')) continue;
        const ground = groundOf(element);
        const text = over(parse(getComputedStyle(element).color), ground);
        const [dark, bright] = [luminance(text), luminance(ground)].sort((a, b) => a - b);
        const contrast = (bright + 0.05) / (dark + 0.05);
        if (contrast < 4.5) faults.push(`contrast ${contrast.toFixed(2)}: ${element.outerHTML}`);
    }
    for (const element of document.querySelectorAll('button, input, select, [role=img], section, aside')) {
        if (!element.checkVisibility() || element.matches('section.card:not([aria-label])')) continue;
        const name = element.getAttribute('aria-label') || element.labels?.[0]?.textContent
            || (element.matches('button') && element.textContent);
        if (!name?.trim()) faults.push(`no name: ${element.outerHTML}`);
    }
    const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
    if (new Set(ids).size !== ids.length) faults.push(`ids twice: ${ids}`);
    for (const element of document.querySelectorAll('[aria-controls], [for]')) {
        const id = element.getAttribute('aria-controls') ?? element.getAttribute('for');
        if (!ids.includes(id)) faults.push(`refers to nothing: ${element.outerHTML}`);
    }
    return faults;
})()
