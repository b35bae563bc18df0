// Tries everything that would give a page the user's authority, and writes down how it went.
// What fails is "no: " and why; what never comes is "no: silence".
const within = (wait) =>
  Promise.race([wait, new Promise((_, fail) => setTimeout(fail, 3000, { name: 'silence' }))]);

const socket = (url, hello) =>
  new Promise((done, failed) => {
    const one = new WebSocket(url);
    one.onopen = () => (hello ? one.send(hello) : done('opened'));
    one.onmessage = (message) => done('got ' + message.data);
    one.onclose = () => failed({ name: 'closed' });
  });

const frame = (url) =>
  new Promise((loaded) => {
    const one = Object.assign(document.createElement('iframe'), { src: url, name: 'taken' });
    one.onload = () => loaded(one);
    document.body.append(one);
  });

const post = (url, more) =>
  fetch(url, { method: 'POST', credentials: 'include', body: '{}', ...more });

// To a window of its own: there the cookies go along, young ones in Chromium, all in Firefox.
const submit = (action, fields) => {
  const form = Object.assign(document.createElement('form'), {
    action, method: 'POST', target: '_blank', enctype: 'text/plain',
  });
  form.append(Object.assign(document.createElement('input'), fields));
  document.body.append(form);
  form.submit();
  return 'sent';
};

// Not tried where nothing would stop them.
const harms = new Set([
  'kernel', 'blindKernel', 'overwrites', 'worker', 'form', 'sessionForm', 'escapes', 'turnsOpener', 'turnsTop',
]);

const json = { headers: { 'Content-Type': 'application/json' } };

const tries = (facts) => ({
  // What is its own.
  own: async () => (await (await fetch('echo?own')).json()).target,
  posts: async () => (await (await fetch('echo', { method: 'POST', body: '{}' })).json()).body,
  socket: () => socket(new URL('socket', location.href.replace(/^http/, 'ws')), 'hello'),
  stores: async () => {
    localStorage.setItem('mine', 'kept');
    return localStorage.getItem('mine');
  },
  bakes: async () => {
    document.cookie = 'mine=kept; Secure; SameSite=None; Partitioned';
    return document.cookie.includes('mine=kept') ? 'kept' : 'gone';
  },
  // What is Jupyter's, or another service's.
  domain: async () => {
    document.domain = 'localhost';
    return document.domain === 'localhost' ? 'widened' : 'no: ' + document.domain;
  },
  contents: async () =>
    (await fetch(facts.jupyter + 'api/contents', { credentials: 'include' })).status,
  session: async () =>
    (await fetch(facts.jupyter + 'sessmgr/session', { credentials: 'include' })).status,
  kernel: async () => (await post(facts.jupyter + 'api/kernels', json)).status,
  blindKernel: async () => (await post(facts.jupyter + 'api/kernels', { mode: 'no-cors' })).status,
  channels: () => socket(facts.channels),
  events: () => socket(facts.jupyter.replace(/^http/, 'ws') + 'api/events/subscribe'),
  other: async () =>
    (await (await fetch(facts.other + 'echo', { credentials: 'include' })).json()).target,
  otherSocket: () => socket(facts.other.replace(/^http/, 'ws') + 'socket'),
  otherHost: async () =>
    (await (await fetch(facts.otherHost + 'echo', { credentials: 'include' })).json()).target,
  otherHostSocket: () => socket(facts.otherHost.replace(/^http/, 'ws') + 'socket'),
  reads: async () => /(_xsrf|username)[^=]*/.exec(document.cookie)?.[0] ?? 'no: none',
  stored: async () => localStorage.getItem('jupyters') ?? 'no: none',
  overwrites: async () => {
    for (const where of ['path=/', 'path=/base/', 'path=/base/; domain=localhost']) {
      document.cookie = '_xsrf=evil; ' + where;
      document.cookie = '_xsrf=evil; Secure; SameSite=None; ' + where;
    }
    return 'tried';
  },
  reaches: async () => (await fetch('reaching')).status,
  worker: async () => {
    const one = await navigator.serviceWorker.register('script', { scope: facts.scope });
    return (one.scope.startsWith(facts.jupyter) ? '' : 'no: own ') + one.scope;
  },
  frames: async () => (await frame(facts.jupyter + 'api/status')).contentDocument.body.innerText,
  framesOther: async () => (await frame(facts.other + 'echo?framed')).contentDocument.body.innerText,
  opens: async () => {
    const one = window.open(facts.jupyter + 'api/status');
    await new Promise((go) => setTimeout(go, 500));
    const text = one.document.body.innerText;
    return text || 'no: empty';
  },
  // A window that is not bound by the frame's limits.
  escapes: async () => {
    if (top === self) { return 'no: none'; }
    window.open('about:blank').eval("opener.top.location = 'about:blank#gone'");
    return 'tried';
  },
  form: async () => submit(facts.jupyter + 'api/kernels', { name: '{"name":"', value: 'python3"}' }),
  sessionForm: async () => submit(facts.jupyter + 'sessmgr/session', { name: '{"x":"', value: '"}' }),
  otherForm: async () => submit(facts.other + 'echo?form', { name: 'x', value: 'y' }),
  opener: async () => (window.opener ? window.opener.location.href : 'no: none'),
  turnsOpener: async () => {
    if (!window.opener) { return 'no: none'; }
    window.opener.location = 'about:blank#gone';
    return 'tried';
  },
  referrer: async () => (/.*secret.*/.exec(document.referrer) ?? ['no: none'])[0],
  windowName: async () => (window.name === 'a secret of Jupyter' ? window.name : 'no: none'),
  above: async () => (top === self ? 'no: none' : top.document.title),
  turnsTop: async () => {
    if (top === self) { return 'no: none'; }
    top.location = 'about:blank#gone';
    return 'tried';
  },
});

(async () => {
  const facts = await (await fetch('facts')).json();
  const told = { origin: self.origin };
  for (const [name, one] of Object.entries(tries(facts))) {
    if (facts.harmless && harms.has(name)) { continue; }
    try {
      told[name] = String(await within(one()));
    } catch (error) {
      told[name] = 'no: ' + error.name;
    }
  }
  document.body.append(
    Object.assign(document.createElement('pre'), { id: 'told', textContent: JSON.stringify(told) }),
  );
})();
