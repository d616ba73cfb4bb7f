'use strict';
// Selecting, highlighting and tabs. The address says what is shown: #train, or
// #train/g1.b0.conv1. Without this script the page is all there; the browser
// then shows the part that the address names.
(() => {
  const root = document.documentElement;
  root.classList.add('js');
  // A page that stands in no browser's window must tell what went wrong in it.
  const failed = what => { root.dataset.errors = (root.dataset.errors || '') + what + '\n'; };
  addEventListener('error', e => failed(e.message || 'error'));
  addEventListener('securitypolicyviolation', e => failed('policy: ' + e.violatedDirective));

  const start = () => {
    const sections = [...document.querySelectorAll('section.function')];
    if (sections.length === 0) return;
    const parts = new Map(); // section -> what is in it
    for (const s of sections) {
      parts.set(s, {
        boxes: new Map([...s.querySelectorAll('.box')].map(b => [b.dataset.i, b])),
        wires: [...s.querySelectorAll('.wires path')],
        bars: new Map([...s.querySelectorAll('[data-b]')].map(b => [b.dataset.b, b])),
        details: new Map([...s.querySelectorAll('article.fusion')].map(a => [a.dataset.i, a])),
      });
    }
    const panel = () => shown.querySelector('.panel');
    const words = text => text ? text.split(' ') : [];

    // mark shows a box with what it reads and what reads it; without a box none.
    const mark = (section, i) => {
      const { boxes, wires, bars, details } = parts.get(section);
      for (const b of boxes.values()) b.classList.remove('hot', 'source', 'reader');
      for (const b of bars.values()) b.classList.remove('r', 'w');
      section.classList.toggle('marked', i !== undefined);
      for (const w of wires) {
        w.classList.toggle('in', w.dataset.t === i);
        w.classList.toggle('out', w.dataset.s === i);
      }
      const box = boxes.get(i);
      if (!box) return;
      box.classList.add('hot');
      for (const k of words(box.dataset.from)) boxes.get(k)?.classList.add('source');
      for (const k of words(box.dataset.to)) boxes.get(k)?.classList.add('reader');
      const d = details.get(i);
      for (const k of words(d.dataset.read)) bars.get(k)?.classList.add('r');
      for (const k of words(d.dataset.write)) bars.get(k)?.classList.add('w');
    };

    // fill copies a fusion's texts from where each stands once.
    const fill = detail => {
      for (const t of detail.querySelectorAll('.text:not(.filled)')) {
        t.classList.add('filled');
        t.append(document.getElementById(t.dataset.text).querySelector('pre').cloneNode(true));
      }
    };

    // select opens the panel of a box; without a box it closes it.
    const select = (section, i) => {
      const { boxes, details } = parts.get(section);
      for (const [k, d] of details) d.classList.toggle('on', k === i);
      for (const [k, b] of boxes) {
        if (k === i) b.setAttribute('aria-current', 'true');
        else b.removeAttribute('aria-current');
      }
      section.classList.toggle('selecting', i !== undefined);
      if (i !== undefined) fill(details.get(i));
      mark(section, i);
    };

    let shown = null, selected; // section, and in it the box
    const show = (section, i, scroll) => {
      if (shown && shown !== section) select(shown, undefined);
      for (const s of sections) s.hidden = s !== section;
      for (const a of document.querySelectorAll('.tabs a[data-function]')) {
        if (a.dataset.function === section.id) a.setAttribute('aria-current', 'page');
        else a.removeAttribute('aria-current');
      }
      shown = section;
      selected = i;
      select(section, i);
      panel().scrollTop = 0;
      if (scroll) parts.get(section).boxes.get(i)?.scrollIntoView({ block: 'center', inline: 'nearest' });
    };

    // named is the id that an address leads to.
    const named = href => {
      const id = href.slice(1);
      try { return decodeURIComponent(id); } catch { return id; }
    };

    // follow shows what the address names.
    const follow = scroll => {
      const id = named(location.hash);
      const target = document.getElementById(id);
      if (target?.matches('article.fusion')) return show(target.closest('section.function'), target.dataset.i, scroll);
      if (target?.matches('section.function')) return show(target, undefined, false);
      if (!shown) show(sections[0], undefined, false);
      if (target?.matches('details')) target.open = true;
      if (id) target?.scrollIntoView();
    };
    const go = (id, scroll) => {
      try { history.pushState(null, '', '#' + encodeURI(id)); } catch { location.hash = encodeURI(id); }
      follow(scroll);
    };

    document.addEventListener('click', e => {
      const a = e.target.closest('a[href^="#"]');
      if (!a || e.ctrlKey || e.metaKey || e.shiftKey || e.button) return;
      e.preventDefault();
      const byKey = e.detail === 0;
      if (byKey && a.matches('.box[aria-current]')) return panel().focus();
      go(named(a.getAttribute('href')), !a.matches('.box'));
    });
    addEventListener('popstate', () => follow(true));
    addEventListener('hashchange', () => follow(true));

    for (const section of sections) {
      const { boxes, details } = parts.get(section);
      const graph = section.querySelector('.graph');
      const over = e => {
        const box = e.target.closest('.box');
        mark(section, box ? box.dataset.i : selected);
      };
      graph.addEventListener('mouseover', over);
      graph.addEventListener('mouseleave', () => mark(section, selected));
      graph.addEventListener('focusin', over);
      graph.addEventListener('focusout', () => mark(section, selected));
      // A bar of memory says whose it is by marking its fusion.
      section.querySelector('.arena')?.addEventListener('mouseover', e => {
        const a = e.target.closest('a');
        const d = a && document.getElementById(named(a.getAttribute('href')));
        mark(section, d ? d.dataset.i : selected);
      });
      section.querySelector('.arena')?.addEventListener('mouseleave', () => mark(section, selected));
      graph.addEventListener('keydown', e => {
        const step = { ArrowDown: 1, ArrowUp: -1 }[e.key];
        const at = e.target.closest('.box')?.dataset.i;
        if (!step || at === undefined) return;
        const next = String(Number(at) + step);
        if (!boxes.has(next)) return;
        e.preventDefault();
        boxes.get(next).focus();
        if (selected !== undefined) go(details.get(next).id, false);
      });
    }
    document.addEventListener('keydown', e => {
      if (e.key !== 'Escape' || selected === undefined) return;
      if (panel().contains(document.activeElement)) parts.get(shown).boxes.get(selected).focus();
      else go(shown.id, false);
    });
    follow(true);
    root.dataset.ready = '1';
  };
  addEventListener('DOMContentLoaded', () => {
    try { start(); } catch (e) { failed(String(e)); throw e; }
  });
})();
