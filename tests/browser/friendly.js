// An app as people write them: it asks its server, keeps something, links, posts, downloads.
(async () => {
  const show = (html) => document.body.insertAdjacentHTML('beforeend', html);
  show(`<p><a id=second href="second?title=Second+page">a link</a>
    <a id=new target=_blank href="new?title=New+tab">a new tab</a>
    <a id=kept href=download>a download</a></p>
    <form method=post action="posted?title=Posted"><button>Post</button></form>`);
  const { port } = await (await fetch('echo')).json();
  const opened = new WebSocket(new URL('socket', location.href.replace(/^http/, 'ws')));
  opened.onopen = () => opened.send(port);
  const said = await new Promise((done) => { opened.onmessage = (one) => done(one.data); });
  let visits = 'none';
  try {
    visits = Number(localStorage.getItem('visits')) + 1;
    localStorage.setItem('visits', visits);
  } catch { /* a page in a sandbox keeps nothing */ }
  show(`<p id=ready>${port} says ${said}, visits: ${visits}</p>`);
})();
