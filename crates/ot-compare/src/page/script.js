'use strict';
(() => {
  const root = document.documentElement;
  const query = new URLSearchParams(location.search);
  const errors = [];
  addEventListener('error', (e) => errors.push(String(e.message)));

  // Theme: what the address asks for, else what was chosen before, else what the system prefers.
  const remember = (theme) => { try { localStorage.setItem('theme', theme); } catch { /* private windows have none */ } };
  const recall = () => { try { return localStorage.getItem('theme'); } catch { return null; } };
  const wanted = query.get('theme') || recall();
  if (wanted === 'dark' || wanted === 'light') root.dataset.theme = wanted;
  document.getElementById('theme').addEventListener('click', () => {
    const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = dark ? 'light' : 'dark';
    remember(root.dataset.theme);
  });

  // Tooltips: one element, filled from the mark's attribute, kept inside the window.
  const tip = document.getElementById('tip');
  const show = (mark) => {
    tip.textContent = mark.dataset.tip;
    tip.hidden = false;
    const box = mark.getBoundingClientRect();
    const left = Math.min(Math.max(12, box.left + box.width / 2 - tip.offsetWidth / 2), innerWidth - tip.offsetWidth - 12);
    const above = box.top - tip.offsetHeight - 8;
    tip.style.left = `${left}px`;
    tip.style.top = `${above > 8 ? above : box.bottom + 8}px`;
  };
  const hide = () => { tip.hidden = true; };
  for (const mark of document.querySelectorAll('[data-tip]')) {
    mark.addEventListener('mouseenter', () => show(mark));
    mark.addEventListener('focus', () => show(mark));
    mark.addEventListener('mouseleave', hide);
    mark.addEventListener('blur', hide);
  }
  addEventListener('scroll', hide, { passive: true });

  // Sorting: by the cell's number where it has one, by its text otherwise; cells without a value stay last.
  const key = (row, column) => {
    const cell = row.cells[column];
    if (!cell || cell.classList.contains('none') || cell.classList.contains('reason') || cell.querySelector('.none')) return null;
    return cell.dataset.v === undefined ? cell.textContent.trim() : Number(cell.dataset.v);
  };
  const sort = (table, column) => {
    const heading = table.tHead.rows[0].cells[column];
    const down = heading.getAttribute('aria-sort') === 'ascending';
    for (const other of table.tHead.rows[0].cells) other.removeAttribute('aria-sort');
    heading.setAttribute('aria-sort', down ? 'descending' : 'ascending');
    const rows = [...table.tBodies[0].rows];
    rows.sort((p, q) => {
      const [a, b] = [key(p, column), key(q, column)];
      if (a === null || b === null) return (a === null) - (b === null);
      const order = typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b));
      return down ? -order : order;
    });
    table.tBodies[0].append(...rows);
  };
  for (const table of document.querySelectorAll('table.sortable')) {
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      heading.querySelector('button').addEventListener('click', () => sort(table, column));
    });
  }

  // For the browser test: what a person would notice, written where a program can read it.
  const examine = () => {
    const faults = [...errors];
    const check = (good, fault) => { if (!good) faults.push(fault); };
    check(root.scrollWidth <= root.clientWidth, `page is ${root.scrollWidth} wide in a window of ${root.clientWidth}`);
    for (const name of ['overview', 'problems', 'theme']) check(document.getElementById(name), `no #${name}`);
    const charts = [...document.querySelectorAll('.plot .chart')].filter((c) => c.getBoundingClientRect().width > 0);
    check(charts.length > 0 && charts.length === document.querySelectorAll('.plot .chart.wide').length, `${charts.length} charts shown`);
    for (const chart of [...charts, ...document.querySelectorAll('.trio .chart')]) {
      const frame = chart.getBoundingClientRect();
      for (const text of chart.querySelectorAll('text')) {
        const box = text.getBoundingClientRect();
        const out = Math.max(frame.left - box.left, box.right - frame.right, frame.top - box.top, box.bottom - frame.bottom);
        check(out < 3, `label "${text.textContent}" leaves its chart by ${out.toFixed(0)}`);
        check(box.height >= 10, `label "${text.textContent}" is ${box.height.toFixed(0)} high`);
      }
    }
    for (const image of document.images) check(image.complete && image.naturalWidth > 0, `an image is broken: ${image.alt}`);
    const table = document.querySelector('table.rows');
    const last = table.tHead.rows[0].cells.length - 3;
    sort(table, last);
    const values = [...table.tBodies[0].rows].map((r) => key(r, last)).filter((v) => v !== null);
    check(values.every((v, k) => k === 0 || values[k - 1] <= v), 'sorting by time does not sort');
    const mark = document.querySelector('.plot [data-tip]');
    if (mark) { show(mark); check(!tip.hidden && tip.textContent.length > 10, 'no tooltip'); hide(); }
    const before = getComputedStyle(document.body).backgroundColor;
    document.getElementById('theme').click();
    check(getComputedStyle(document.body).backgroundColor !== before, 'the theme does not change');
    document.getElementById('theme').click();
    root.dataset.selftest = faults.length === 0 ? 'ok' : faults.join(' | ');
  };
  if (query.has('selftest')) addEventListener('load', examine);
})();
