'use strict';
// The state is what wrnc told last: facts, now, epochs, loss, speeds, test, times. A view is drawn
// anew when a part that it reads has changed. Names come from files of the user's and
// of others, so they only ever become text, never HTML.
const root = document.documentElement;
const complain = what => { root.dataset.errors = (root.dataset.errors || '') + what + '\n'; };
addEventListener('error', e => complain(e.message));
addEventListener('unhandledrejection', e => complain(e.reason));
addEventListener('securitypolicyviolation', e => complain('policy: ' + e.violatedDirective));

let state = {};
let ended = false;
const $ = id => document.getElementById(id);

// make makes an element of children, which are elements or text.
function make(name, props, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(props || {})) {
    if (key in e) e[key] = value; else e.setAttribute(key, value);
  }
  e.append(...children.filter(c => c !== null && c !== undefined));
  return e;
}
function draw(name, attrs, text) {
  const e = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attrs)) e.setAttribute(key, value);
  if (text !== undefined) e.textContent = text;
  return e;
}
// say sets a text that may be there already.
function say(e, text) { if (e.textContent !== text) e.textContent = text; }

// ---- How numbers are written.

const known = v => typeof v === 'number' && isFinite(v);
const count = n => Math.round(n).toLocaleString('en-US');
const percent = (v, digits = 2) => known(v) ? v.toFixed(digits) + ' %' : '–';
const digits = (v, n = 4) => known(v) ? String(+v.toPrecision(n)) : '–';
const fixed = v => !known(v) ? '–' : Math.abs(v) >= 100 ? v.toPrecision(4) : v.toFixed(4);
const speedText = v => !known(v) ? '–' : v < 100 ? v.toFixed(1) : count(v);
function bytes(n) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let i = 0;
  while (n >= 1024 && i < units.length - 1) { n /= 1024; i++; }
  return (i ? n.toFixed(1) : n) + ' ' + units[i];
}
const pad = n => String(n).padStart(2, '0');
function duration(s) {
  if (!known(s)) return '–';
  if (Math.round(s) < 60) return Math.max(0, Math.round(s)) + 's';
  if (Math.round(s) < 3600) return Math.floor(Math.round(s) / 60) + 'm' + pad(Math.round(s) % 60) + 's';
  const m = Math.round(s / 60);
  if (m < 1440) return Math.floor(m / 60) + 'h' + pad(m % 60) + 'm';
  const h = Math.round(s / 3600);
  return Math.floor(h / 24) + 'd' + pad(h % 24) + 'h';
}
const plural = (n, one, many) => count(n) + ' ' + (n === 1 ? one : many);

// ---- Charts.

// ticksOf are about n round numbers from lo to hi.
function ticksOf(lo, hi, n, whole) {
  let step = 10 ** Math.floor(Math.log10((hi - lo) / n || 1));
  for (const k of [1, 2, 5, 10]) if ((hi - lo) / (step * k) <= n) { step *= k; break; }
  if (whole) step = Math.max(1, Math.round(step));
  const ticks = [];
  for (let i = Math.ceil(lo / step - 1e-9); i * step <= hi + step * 1e-9; i++) ticks.push(+(i * step).toPrecision(12));
  return ticks;
}
function logTicks(lo, hi) {
  const ticks = [];
  const steps = Math.log10(hi / lo) < 1.5 ? [1, 2, 5] : Math.log10(hi / lo) < 3.5 ? [1, 3] : [1];
  for (let k = Math.floor(Math.log10(lo)); k <= Math.ceil(Math.log10(hi)); k++) {
    for (const s of steps) if (s * 10 ** k >= lo * 0.999 && s * 10 ** k <= hi * 1.001) ticks.push(+(s * 10 ** k).toPrecision(3));
  }
  return ticks;
}

// Chart is a card with curves over epochs. spec() says what they are, when they are drawn:
// { curves: [{ name, kind, colour, points: [[x, y]], dots, best, from }], top, format, unit }.
class Chart {
  constructor(id, title, spec, canLog) {
    this.card = $(id);
    this.spec = spec;
    this.log = false;
    this.keys = make('div', { className: 'keys' });
    this.card.append(make('header', null, make('h2', null, title), this.keys));
    this.svg = this.card.appendChild(draw('svg', { role: 'img' }));
    this.tip = this.card.appendChild(make('div', { className: 'tip', hidden: true }));
    if (canLog) {
      this.toggle = make('button', { type: 'button', className: 'toggle', 'aria-pressed': 'false' }, 'log');
      this.toggle.addEventListener('click', () => {
        this.log = !this.log;
        this.toggle.setAttribute('aria-pressed', this.log);
        this.draw();
      });
    }
    this.svg.addEventListener('pointermove', e => { this.at = e.clientX - this.svg.getBoundingClientRect().left; this.point(); });
    this.svg.addEventListener('pointerleave', () => { this.at = undefined; this.point(); });
    new ResizeObserver(() => this.draw()).observe(this.svg);
  }

  draw() {
    const spec = this.spec();
    this.curves = spec.curves.map(c => ({ ...c, points: c.points.filter(([, y]) => known(y) && (!this.log || y > 0)) })).filter(c => c.points.length > 0);
    this.unit = spec.format;
    const shown = this.curves.filter(c => c.name);
    this.keys.replaceChildren(...shown.length > 1 ? shown.map(c => make('span', null, make('i', { className: 's s-' + c.colour + ' ' + c.kind }), c.name)) : [], ...this.toggle ? [this.toggle] : []);
    const w = this.svg.clientWidth, h = this.svg.clientHeight;
    if (!w || !h) return;
    this.svg.setAttribute('viewBox', `0 0 ${w} ${h}`);
    const ys = this.curves.flatMap(c => c.points.map(p => p[1]));
    if (!ys.length) {
      this.svg.replaceChildren(draw('text', { class: 'empty', x: w / 2, y: h / 2, 'text-anchor': 'middle' }, 'nothing yet'));
      this.svg.setAttribute('aria-label', 'nothing yet');
      return this.point();
    }
    this.frame(spec, ys, w, h);
    const parts = [...this.axes(spec, w, h), ...this.curves.flatMap(c => this.curve(c))];
    this.guide = draw('g', {});
    this.svg.replaceChildren(...parts, this.guide);
    this.svg.setAttribute('aria-label', this.curves.filter(c => c.name).map(c => c.name + ' ' + spec.format(c.points.at(-1)[1])).join(', '));
    this.point();
  }

  // frame chooses the ranges of the axes.
  frame(spec, ys, w, h) {
    let lo = Math.min(...ys), hi = Math.max(...ys);
    if (this.log) {
      lo /= 1.15; hi *= 1.15;
    } else {
      lo = spec.zero || lo < 0.35 * hi ? Math.min(0, lo) : lo - 0.08 * (hi - lo || hi || 1);
      hi += 0.06 * (hi - lo || 1);
      if (spec.most !== undefined) hi = Math.min(hi, spec.most);
    }
    const y = this.log ? Math.log : v => v;
    const left = 50, right = 12, top = 10, bottom = 22;
    const xMost = spec.xMost;
    this.lo = lo; this.hi = hi; this.left = left; this.right = w - right; this.bottom = h - bottom; this.top = top; this.xMost = xMost;
    this.x = v => left + (w - left - right) * v / xMost;
    this.y = v => top + (h - top - bottom) * (1 - (y(v) - y(lo)) / ((y(hi) - y(lo)) || 1));
    this.xOf = px => (px - left) / (w - left - right) * xMost;
  }

  axes(spec, w, h) {
    const parts = [];
    const ys = this.log ? logTicks(this.lo, this.hi) : ticksOf(this.lo, this.hi, h < 160 ? 3 : 5);
    for (const v of ys) {
      const y = Math.round(this.y(v));
      parts.push(draw('path', { class: 'grid', d: `M${this.left} ${y}H${this.right}` }));
      parts.push(draw('text', { x: this.left - 8, y: y + 4, 'text-anchor': 'end' }, spec.tick ? spec.tick(v) : digits(v)));
    }
    for (const v of ticksOf(0, this.xMost, Math.max(2, w / 70), true)) {
      parts.push(draw('text', { x: this.x(v), y: this.bottom + 16, 'text-anchor': 'middle' }, count(v)));
    }
    parts.push(draw('path', { class: 'axis', d: `M${this.left} ${this.bottom}H${this.right}` }));
    return parts;
  }

  curve(c) {
    const at = p => this.x(p[0]).toFixed(1) + ' ' + this.y(p[1]).toFixed(1);
    const parts = [draw('path', { class: `s s-${c.colour} line ${c.kind}`, d: 'M' + c.points.map(at).join('L') })];
    if (c.dots && c.points.length <= 60 || c.points.length === 1) {
      for (const p of c.points) parts.push(draw('circle', { class: `s s-${c.colour} dot`, cx: this.x(p[0]), cy: this.y(p[1]), r: 2.6 }));
    }
    if (c.best) parts.push(draw('circle', { class: `s s-${c.colour} best`, cx: this.x(c.best[0]), cy: this.y(c.best[1]), r: 4.5 }));
    return parts;
  }

  // point says what the curves are where the pointer is.
  point() {
    if (this.guide) this.guide.replaceChildren();
    if (this.at === undefined || !this.curves || !this.curves.length) { this.tip.hidden = true; return; }
    const x = this.xOf(this.at);
    const near = c => c.points.reduce((a, b) => Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a);
    const named = this.curves.filter(c => c.name);
    if (!named.length) return;
    const at = near(named.reduce((a, b) => Math.abs(near(b)[0] - x) < Math.abs(near(a)[0] - x) ? b : a))[0];
    const px = this.x(at);
    this.guide.append(draw('path', { class: 'guide', d: `M${px.toFixed(1)} ${this.top}V${this.bottom}` }));
    this.tip.replaceChildren(make('b', null, 'epoch ' + digits(at, 4)));
    for (const c of named) {
      const p = near(c);
      if (Math.abs(this.x(p[0]) - px) > 20) continue; // another place, such as where a run went on
      this.guide.append(draw('circle', { class: `s s-${c.colour} dot`, cx: this.x(p[0]), cy: this.y(p[1]), r: 3.5 }));
      this.tip.append(make('span', null, make('span', null, make('i', { className: 's s-' + c.colour + ' ' + c.kind }), c.name), this.unit(p[1])));
    }
    this.tip.hidden = false;
    const room = this.card.clientWidth, width = this.tip.offsetWidth;
    const from = this.svg.offsetLeft || 16;
    this.tip.style.left = Math.max(6, px + from + 14 + width > room ? px + from - 14 - width : px + from + 14) + 'px';
    this.tip.style.top = '46px';
  }
}

const epochs = () => state.epochs || [];
const column = key => epochs().map(e => [e.epoch, e[key]]);
// position is where the run stands, in epochs.
function position() {
  const n = state.now;
  if (!n || !n.epoch) return epochs().length ? epochs().at(-1).epoch : 0;
  return n.phase === 'evaluating' || ended && n.done >= n.of ? n.epoch : n.epoch - 1 + (n.of ? n.done / n.of : 0);
}
// xMost is the end of the horizontal axis: all of a short run, and of a long one what is done.
function xMost() {
  const all = state.facts ? state.facts.epochs : 1;
  return all <= 12 ? all : Math.min(all, Math.max(2, Math.ceil(position() * 1.04)));
}
function best() {
  let b = null;
  for (const e of epochs()) if (known(e.test_error) && (!b || e.test_error < b.test_error)) b = e;
  return b;
}

const charts = [
  [['loss', 'epochs', 'now', 'facts'], new Chart('loss', 'Loss', () => ({
    xMost: xMost(), format: fixed, curves: [
      { name: 'of steps', kind: 'faint', colour: 'train', points: (state.loss || []).map(p => [p.at, p.value]) },
      { name: 'of epochs', kind: 'line', colour: 'train', points: column('train_loss'), dots: true },
    ],
  }), true)],
  [['epochs', 'now', 'facts'], new Chart('errors', 'Error', () => ({
    xMost: xMost(), format: v => percent(v), tick: v => digits(v) + ' %', most: 100, curves: [
      { name: 'training', kind: 'line', colour: 'train', points: column('train_error'), dots: true },
      { name: 'test', kind: 'line', colour: 'test', points: column('test_error'), dots: true, best: best() && [best().epoch, best().test_error] },
    ],
  }), true)],
  [['epochs', 'now', 'facts'], new Chart('rate', 'Learning rate', () => ({
    xMost: xMost(), format: v => digits(v), zero: true, curves: [
      { name: 'planned', kind: 'planned', colour: 'rate', points: planned() },
      { name: 'used', kind: 'line', colour: 'rate', points: used() },
    ],
  }), true)],
  [['speeds', 'epochs', 'facts', 'now'], new Chart('speed', 'Training images a second', () => ({
    xMost: xMost(), format: speedText, zero: true, curves: [
      { name: 'of steps', kind: 'faint', colour: 'speed', points: (state.speeds || []).map(p => [p.at, p.value]) },
      { name: 'of epochs', kind: 'line', colour: 'speed', points: column('images_per_second'), dots: true },
    ],
  }))],
];
// planned is the learning rate of the recipe as a stair, from the epoch that is trained.
function planned() {
  const f = state.facts;
  if (!f) return [];
  const from = Math.floor(position()), points = [];
  (f.rates || []).forEach((r, i) => {
    const end = i + 1 < f.rates.length ? f.rates[i + 1].from - 1 : f.epochs;
    const a = Math.max(r.from - 1, from), b = Math.min(end, xMost());
    if (a < b) points.push([a, r.rate], [b, r.rate]);
  });
  return points;
}
// used is that of the epochs so far.
function used() {
  const points = [];
  let last = 0;
  for (const e of epochs()) { points.push([last, e.lr], [e.epoch, e.lr]); last = e.epoch; }
  const n = state.now;
  if (n && known(n.lr) && position() > last) points.push([last, n.lr], [position(), n.lr]);
  return points;
}

// ---- The head and the tiles.

const words = { preparing: 'preparing', training: 'training', evaluating: 'evaluating', finished: 'finished', stopped: 'stopped', diverged: 'diverged', failed: 'failed' };
function head() {
  const f = state.facts || {}, n = state.now;
  say($('model'), f.model || 'wrnc');
  say($('data'), f.data ? 'on ' + f.data : '');
  if (!n) return;
  ended = ['finished', 'stopped', 'diverged', 'failed'].includes(n.phase);
  const part = known(n.part) ? n.part : 0;
  const ofEpoch = n.of ? n.done / n.of : 0;
  bar('run', part, n.phase);
  bar('epoch', ended ? 0 : ofEpoch, n.phase);
  say($('where'), whereText(f, n, ofEpoch));
  say($('left'), leftText(n));
  $('error').hidden = !n.error;
  say($('error'), n.error || '');
  document.title = (ended ? words[n.phase] : Math.floor(100 * part) + ' %') + (f.model ? ' · ' + f.model : '') + ' · wrnc';
}
function bar(id, part, phase) {
  const e = $(id);
  e.firstElementChild.style.width = (100 * part).toFixed(2) + '%';
  for (const p of ['finished', 'diverged', 'failed']) e.classList.toggle(p, phase === p);
  e.classList.toggle('evaluating', phase === 'evaluating' && id === 'epoch');
  e.setAttribute('aria-valuenow', Math.floor(100 * part));
}
function whereText(f, n, part) {
  if (!n.epoch) return n.phase === 'preparing' ? 'Measuring how long a step takes' : plural(epochs().length, 'epoch', 'epochs') + ' trained';
  const what = n.phase === 'evaluating' ? 'test ' : '';
  return `Epoch ${count(n.epoch)} of ${count(f.epochs)}` + (ended ? '' : ` · ${what}${Math.floor(100 * part)} %`) + ` · step ${count(n.step)}`;
}
function leftText(n) {
  if (ended) return 'ran for ' + duration(n.seconds);
  if (!known(n.left)) return 'running for ' + duration(n.seconds);
  return (known(n.epoch_left) && n.epoch ? `${duration(n.epoch_left)} left of the ${n.phase === 'evaluating' ? 'test' : 'epoch'} · ` : '') + `${duration(n.left)} of the run · running for ${duration(n.seconds)}`;
}

// tile returns what sets a tile's number and the line below it.
function tile(name, colour) {
  const value = make('dd', null, '–'), note = make('dd', { className: 'small' });
  $('tiles').append(make('div', null, make('dt', null, colour ? make('i', { className: 's s-' + colour }) : null, name), value, note));
  return (text, below) => { say(value, text); say(note, below || ''); };
}
const tiles = {
  loss: tile('training loss', 'train'), error: tile('training error', 'train'), test: tile('test error', 'test'),
  rate: tile('learning rate', 'rate'), speed: tile('images a second', 'speed'), memory: tile('planned memory'),
};
function fillTiles() {
  const n = state.now, f = state.facts;
  if (!n || !f) return;
  const last = epochs().at(-1), b = best();
  tiles.loss(fixed(known(n.loss) ? n.loss : last && last.train_loss), last ? `${fixed(last.train_loss)} in epoch ${last.epoch}` : 'of the epoch so far');
  tiles.error(percent(known(n.mean_error) ? n.mean_error : last && last.train_error), last ? `${percent(last.train_error)} in epoch ${last.epoch}` : 'of the epoch so far');
  tiles.test(last ? percent(last.test_error) : '–', b ? `best ${percent(b.test_error)}, epoch ${b.epoch}` : 'after the first epoch');
  const change = f.rates && f.rates.find(r => r.from > Math.max(1, n.epoch));
  tiles.rate(digits(known(n.lr) ? n.lr : f.rates && f.rates[0].rate), ended ? '' : change ? `${digits(change.rate)} from epoch ${change.from}` : 'to the end');
  tiles.speed(speedText(known(n.speed) ? n.speed : last && last.images_per_second), known(n.speed) && n.speed > 0 ? `${digits(1000 * f.batch / n.speed, 3)} ms a step of ${f.batch}` : '');
  tiles.memory(bytes(peak(f)), `the process has ${bytes(n.process)}`);
}
const peak = f => f.memory.state + f.memory.activations + f.memory.scratch;

function fillNumbers() {
  $('numbers').hidden = !epochs().length;
  const cells = e => [count(e.epoch), count(e.step), digits(e.lr), fixed(e.train_loss), percent(e.train_error), percent(e.test_error), speedText(e.images_per_second), duration(e.seconds)];
  $('numbers').querySelector('tbody').replaceChildren(...epochs().slice().reverse().map(e => make('tr', null, ...cells(e).map(c => make('td', null, c)))));
}

// ---- The network and its memory.

const open = new Set(); // groups whose layers are shown
function fillNetwork() {
  const f = state.facts;
  if (!f) return;
  const groups = [], layers = f.layers || [];
  for (const l of layers) {
    const name = l.name.split('.')[0];
    if (!groups.length || groups.at(-1).name !== name) groups.push({ name, layers: [] });
    groups.at(-1).layers.push(l);
  }
  const sum = (layers, key) => layers.reduce((a, l) => a + l[key], 0);
  const all = { params: sum(layers, 'params'), macs: sum(layers, 'macs') };
  const most = Math.max(1, ...groups.map(g => sum(g.layers, 'macs')));
  const row = (className, first, output, params, macs) => {
    const meter = make('i');
    meter.style.width = (100 * macs / most) + '%';
    return make('tr', { className }, make('td', { className: 'name' }, first), make('td', null, output), make('td', null, params ? count(params) : ''), make('td', null, macs ? count(macs) : ''), make('td', { className: 'meter' }, macs ? meter : ''));
  };
  const rows = groups.flatMap(g => {
    const summary = first => row('group', first, g.layers.at(-1).output, sum(g.layers, 'params'), sum(g.layers, 'macs'));
    if (g.layers.length === 1 && g.layers[0].name === g.name) return [summary(make('span', null, g.name))];
    const shown = open.has(g.name);
    const button = make('button', { type: 'button', 'aria-expanded': String(shown) }, g.name);
    button.addEventListener('click', () => {
      open.has(g.name) ? open.delete(g.name) : open.add(g.name);
      fillNetwork();
      [...document.querySelectorAll('#network button')].find(b => b.textContent === g.name).focus();
    });
    return [summary(button), ...shown ? g.layers.map(l => row('inner', l.name, l.output, l.params, l.macs)) : []];
  });
  rows.push(make('tr', { className: 'total' }, make('td', null, 'total'), make('td'), make('td', null, count(all.params)), make('td', null, count(all.macs)), make('td')));
  $('network').querySelector('tbody').replaceChildren(...rows);
  say($('network-note'), `${count(all.params)} parameters; ${count(all.macs)} multiply-adds an image, forward.`);
}

// stack shows what a whole is made of, with a legend: parts of a class, a name and a size.
function stack(card, parts, write) {
  const all = parts.reduce((sum, part) => sum + part[2], 0) || 1;
  const bar = card.querySelector('.stack');
  bar.replaceChildren(...parts.map(([className, name, size]) => {
    const e = make('i', { className, title: `${name} ${write(size)}` });
    e.style.width = (100 * size / all) + '%';
    return e;
  }));
  bar.setAttribute('aria-label', parts.map(([, name, size]) => `${name} ${write(size)}`).join(', '));
  card.querySelector('.legend').replaceChildren(...parts.map(([className, name, size]) => make('li', null, make('i', { className }), `${name} ${write(size)}`)));
}

function fillMemory() {
  const f = state.facts, n = state.now;
  if (!f || !n) return;
  const m = f.memory;
  stack($('memory'), [['m-state', 'state', m.state], ['m-activations', 'activations', m.activations], ['m-scratch', 'scratch', m.scratch]], bytes);
  const rows = {
    planned: `${bytes(peak(f))} at peak, taken before the first step`, process: `${bytes(n.process)} in all, with the pictures`,
    data: `${count(f.images)} images an epoch, ${count(f.test_images)} to test with, ${plural((f.classes || []).length, 'class', 'classes')}`,
    training: `${plural(f.epochs, 'epoch', 'epochs')}, batch ${count(f.batch)}, ${f.recipe} recipe`, seed: f.seed, target: f.target, folder: f.folder || 'none yet',
  };
  $('choices').replaceChildren(...Object.entries(rows).map(([k, v]) => make('div', null, make('dt', null, k), make('dd', null, v))));
}

// ---- Where the time of a step goes.

const kinds = {
  conv_fprop: 'convolutions', conv_dgrad: 'gradients of activations', conv_wgrad: 'gradients of weights', map: 'elementwise, updates',
  channel: 'channel arithmetic', pool: 'pooling', opaque: 'loss', other: 'other',
};
const kindOf = k => kinds[k.part] ? k.part : 'other';
const milliseconds = v => v >= 99.95 ? count(v) : v >= 9.995 ? v.toFixed(1) : v >= 0.9995 ? v.toFixed(2) : v.toFixed(3);
function fillKernels() {
  const t = state.times, f = state.facts, card = $('kernels');
  card.hidden = !t || !f;
  if (card.hidden) return;
  const all = t.kernels.reduce((a, b) => a + b, 0) || 1;
  const kernels = (f.kernels || []).map((k, i) => ({ name: k.name, kind: kindOf(k), ms: t.kernels[i] || 0 })).sort((a, b) => b.ms - a.ms);
  const most = Math.max(1e-9, ...kernels.map(k => k.ms));
  const steps = t.steps === 1 ? 'one step was timed so far' : `medians of the last ${t.steps} steps that were timed`;
  say($('kernels-note'), `${milliseconds(all)} ms a step in ${plural(kernels.length, 'kernel', 'kernels')}; ${steps}. Kernels that run side by side share the time by their work.`);
  const byKind = Object.entries(kinds).map(([kind, name]) => ['k-' + kind, name, kernels.reduce((a, k) => a + (k.kind === kind ? k.ms : 0), 0)]);
  stack(card, byKind.filter(([, , ms]) => ms > 0), ms => percent(100 * ms / all, 1));
  card.querySelector('tbody').replaceChildren(...kernels.map(k => {
    const meter = make('i', { className: 'k-' + k.kind });
    meter.style.width = (100 * k.ms / most) + '%';
    return make('tr', null, make('td', { className: 'name', title: k.name }, k.name), make('td', { className: 'word' }, kinds[k.kind]), make('td', null, milliseconds(k.ms)), make('td', null, percent(100 * k.ms / all, 1)), make('td', { className: 'meter' }, meter));
  }));
}

// ---- What the network makes of the test set.

const className = i => { const c = state.facts && state.facts.classes; return c && c[i] !== undefined && c[i] !== '' ? c[i] : 'class ' + i; };
const longNames = () => state.facts.classes.some((_, i) => className(i).length > 4);
let list = 'sample';
for (const b of document.querySelectorAll('[data-list]')) {
  b.addEventListener('click', () => {
    list = b.dataset.list;
    for (const o of document.querySelectorAll('[data-list]')) o.setAttribute('aria-pressed', o === b);
    fillPictures();
  });
}
const probability = p => !known(p) ? '' : p >= 0.99995 ? '100 %' : p < 0.00005 ? '0 %' : (100 * p).toFixed(p < 0.0995 ? 2 : 1) + ' %';
function fillPictures() {
  const t = state.test, box = $('pictures').querySelector('.pictures');
  if (!t || !state.facts) {
    say($('pictures-note'), 'After the first epoch they are here, with what the network takes them for.');
    box.replaceChildren();
    return;
  }
  say($('pictures-note'), list === 'sample'
    ? `The same pictures after every epoch; here after epoch ${count(t.epoch)}. What the network takes for something else has a red frame.`
    : `Of all mistakes of epoch ${count(t.epoch)}, those that the network is surest of.`);
  box.className = 'pictures' + (longNames() ? ' long' : '');
  const figures = (t[list] || []).map(picture);
  box.replaceChildren(...figures.length ? figures : [make('p', { className: 'soft none' }, 'There was no mistake.')]);
}
function picture(g) {
  const wrong = g.guess !== g.truth;
  const guess = className(g.guess), truth = className(g.truth);
  const text = `picture ${g.picture}: ${guess}, ${probability(g.p)}` + (wrong ? `; it is ${truth}, ${probability(g.p_truth)}` : ', which is right');
  return make('figure', { className: wrong ? 'wrong' : '', title: text },
    make('img', { src: `api/picture/${g.picture}?${state.run}`, alt: text, width: 32, height: 32 }),
    make('figcaption', null, make('span', null, make('b', null, guess), make('span', null, probability(g.p))),
      wrong ? make('small', null, make('span', null, 'is ' + truth), make('span', null, probability(g.p_truth))) : null));
}

function fillMatrix() {
  const t = state.test, box = $('matrix').querySelector('.matrix');
  say($('matrix-cell'), '');
  box.onpointerleave = () => say($('matrix-cell'), '');
  if (!t || !state.facts) {
    say($('matrix-note'), 'After the first epoch the confusion matrix is here.');
    box.replaceChildren();
    $('confused').replaceChildren();
    return;
  }
  const share = t.images ? 100 * t.mistakes / t.images : NaN;
  say($('matrix-note'), `${plural(t.mistakes, 'mistake', 'mistakes')} in ${count(t.images)} pictures (${percent(share)}) after epoch ${count(t.epoch)}.` +
    (t.matrix ? ' A row is the truth, a column what the network says.' : ''));
  box.replaceChildren();
  if (t.matrix) box.append(t.matrix.length <= 12 ? grid(t.matrix, box) : heatMap(t.matrix));
  $('confused').replaceChildren(...(t.confused || []).map(c => make('li', { title: `${className(c.truth)} taken for ${className(c.guess)}` },
    make('span', null, `${className(c.truth)} → ${className(c.guess)}`), make('b', null, count(c.count)))));
}
function cellText(matrix, i, j) {
  const n = matrix[i][j], all = matrix[i].reduce((a, b) => a + b, 0);
  const share = all ? ` (${percent(100 * n / all, 1)})` : '';
  return i === j ? `${className(i)}: ${count(n)} of ${count(all)} are right${share}` : `${className(i)} taken for ${className(j)}: ${count(n)} of ${count(all)}${share}`;
}
// weight is how strongly a cell is coloured: rare mistakes should be seen too.
const weight = (n, all) => all && n ? 0.06 + 0.94 * Math.sqrt(n / all) : 0;
const sums = matrix => matrix.map(row => row.reduce((a, b) => a + b, 0));

// grid is a table of numbers.
function grid(matrix, box) {
  const all = sums(matrix);
  box.className = 'matrix ' + (longNames() ? 'long' : 'short');
  const cell = (n, i, j) => {
    const a = weight(n, all[i]);
    const e = make('td', { className: (i === j ? 'right' : 'off') + (a > 0.62 ? ' strong' : '') + (n ? '' : ' zero'), title: cellText(matrix, i, j) }, count(n));
    e.style.setProperty('--a', a.toFixed(3));
    e.addEventListener('pointerenter', () => say($('matrix-cell'), cellText(matrix, i, j)));
    return e;
  };
  const name = (i, kind) => make('th', { className: kind, scope: kind === 'row' ? 'row' : 'col', title: className(i) }, make('span', null, className(i)));
  return make('table', null,
    make('thead', null, make('tr', null, make('th', { className: 'row' }), ...matrix.map((_, i) => name(i, 'column')))),
    make('tbody', null, ...matrix.map((row, i) => make('tr', null, name(i, 'row'), ...row.map((n, j) => cell(n, i, j))))));
}

// heatMap is a picture with a pixel a cell.
function heatMap(matrix) {
  const size = matrix.length, all = sums(matrix);
  const canvas = make('canvas', { width: size, height: size, role: 'img' });
  canvas.setAttribute('aria-label', `a matrix of ${size} by ${size} classes; the most frequent mistakes are listed below`);
  const style = getComputedStyle(root);
  const colour = name => style.getPropertyValue(name).trim().split(/\s+/).map(Number);
  const hue = { true: colour('--right'), false: colour('--wrong') };
  const pen = canvas.getContext('2d');
  matrix.forEach((row, i) => row.forEach((n, j) => {
    if (!n) return;
    pen.fillStyle = `rgba(${hue[i === j].join(',')},${weight(n, all[i])})`;
    pen.fillRect(j, i, 1, 1);
  }));
  canvas.addEventListener('pointermove', e => {
    const r = canvas.getBoundingClientRect();
    const at = (v, from, length) => Math.max(0, Math.min(size - 1, Math.floor((v - from) / length * size)));
    const i = at(e.clientY, r.top, r.height), j = at(e.clientX, r.left, r.width);
    say($('matrix-cell'), cellText(matrix, i, j));
    canvas.title = cellText(matrix, i, j);
  });
  return canvas;
}
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', fillMatrix);

// ---- What is told, and by whom.

const views = [
  [['facts', 'now', 'epochs'], head], [['facts', 'now', 'epochs'], fillTiles], ...charts.map(([parts, c]) => [parts, () => c.draw()]),
  [['epochs'], fillNumbers], [['facts', 'times'], fillKernels], [['facts'], fillNetwork], [['facts', 'now'], fillMemory], [['facts', 'test', 'run'], fillPictures], [['facts', 'test'], fillMatrix],
];
function take(message, whole) {
  if (whole) {
    if (message.page !== root.dataset.page) { location.reload(); return; } // another wrnc, with a page of its own
    state = {};
  }
  Object.assign(state, message);
  for (const [parts, show] of views) if (whole || parts.some(p => p in message)) show();
  heard();
}
function heard() {
  $('gone').hidden = true;
  const phase = state.now ? state.now.phase : 'preparing';
  say($('phase'), words[phase] || phase);
  $('phase').className = phase;
}
function lost() {
  if (!$('gone').hidden) return;
  say($('gone'), (ended ? 'wrnc has ended, and this is its last word. ' : state.now ? `wrnc does not answer since ${new Date().toLocaleTimeString()}; this is how things stood. ` : 'wrnc does not answer. ') +
    'The page shows the next run at this address by itself.');
  $('gone').hidden = false;
  if (ended) return;
  say($('phase'), 'not connected');
  $('phase').className = 'lost';
}
function connect() {
  const source = new EventSource('api/events');
  source.addEventListener('all', e => take(JSON.parse(e.data), true));
  source.addEventListener('change', e => take(JSON.parse(e.data), false));
  source.addEventListener('error', () => {
    lost();
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 2000); // refused; else the browser tries again
  });
}
fillPictures();
fillMatrix();
connect();
root.dataset.ready = '1';
