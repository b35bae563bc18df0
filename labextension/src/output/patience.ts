/** Requests about documents that wait for a server which is away, instead of failing in a dialog. */

import { URLExt } from '@jupyterlab/coreutils';
import type { ServerConnection } from '@jupyterlab/services';

import { pause, ServerWatch } from './server';

/** What may be asked twice. */
const METHODS: ReadonlySet<string> = new Set(['GET', 'PUT', 'PATCH']);

/** What something in front of a server says while that is away. */
const AWAY: ReadonlySet<number> = new Set([424, 502, 503]);

/** What it says when it waited in vain: the server may still do what it was asked for. */
const TOO_LATE = 504;

/** What a server says to somebody whom it does not know; some also of a file. */
const LOCKED: ReadonlySet<number> = new Set([401, 403]);

/** Fewest milliseconds between two attempts. */
const PAUSE = 1000;

/** How often a request is sent; servers may come and go. */
const ATTEMPTS = 20;

/** How the cookie begins that has it; servers take the last one. */
const XSRF = '_xsrf=';

type Fetch = ServerConnection.ISettings['fetch'];

/**
 * Extend how pages ask the server: a document is saved as soon as it answers.
 *
 * JupyterLab saves by itself now and then, and shows a dialog each time when that fails.
 */
export function patientFetch(base: Fetch, baseUrl: string, server: ServerWatch): Fetch {
  const documents = URLExt.join(baseUrl, 'api/contents');
  return async (asked, init) => {
    const request = new Request(asked, init);
    if (!request.url.startsWith(documents) || !METHODS.has(request.method)) {
      return base(request);
    }
    for (let attempt = 1; ; attempt++) {
      const answer = await attemptOf(base, request.clone());
      const give = () => (answer instanceof Response ? answer : Promise.reject(answer));
      const status = answer instanceof Response ? answer.status : null;
      const last = attempt === ATTEMPTS || request.signal.aborted;
      if (last || !isHeld(status, request.method) || (await isChunk(request))) {
        return give();
      }
      if (!(await server.back())) {
        if (LOCKED.has(status ?? 0)) {
          return give(); // it knows the user, who may not do that
        }
        await pause(PAUSE);
      }
      refresh(request.headers);
    }
  };
}

/** Whether a request waits that had an answer of this status; null: it had none. */
function isHeld(status: number | null, method: string): boolean {
  return (
    status === null ||
    AWAY.has(status) ||
    LOCKED.has(status) ||
    (status === TOO_LATE && method === 'GET')
  );
}

/** Whether it has a part of an uploaded file, which would be appended once more. */
async function isChunk(request: Request): Promise<boolean> {
  if (request.method !== 'PUT') {
    return false;
  }
  try {
    return 'chunk' in ((await request.clone().json()) as object);
  } catch {
    return false;
  }
}

/** Who logged in again may have another token against forged requests. */
function refresh(headers: Headers): void {
  const cookie = document.cookie.split('; ').filter(one => one.startsWith(XSRF)).pop();
  if (cookie !== undefined && headers.has('X-XSRFToken')) {
    headers.set('X-XSRFToken', cookie.slice(XSRF.length));
  }
}

/** Ask once; resolves to what went wrong, too. */
async function attemptOf(base: Fetch, request: Request): Promise<unknown> {
  try {
    return await base(request);
  } catch (error) {
    return error;
  }
}
