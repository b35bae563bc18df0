/** Requests about documents that wait for a server which is away, instead of failing in a dialog. */

import { URLExt } from '@jupyterlab/coreutils';
import type { ServerConnection } from '@jupyterlab/services';

import { pause, ServerWatch } from './server';

/** What may be asked twice. */
const METHODS: ReadonlySet<string> = new Set(['GET', 'PUT', 'PATCH']);

/** What something in front of a server says while that is away. */
const AWAY: ReadonlySet<number> = new Set([424, 502, 503, 504]);

/** Fewest milliseconds between two attempts. */
const PAUSE = 1000;

/** How often a request is sent; servers may come and go. */
const ATTEMPTS = 20;

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
      if (answer instanceof Response && !AWAY.has(answer.status)) {
        return answer;
      }
      if (attempt === ATTEMPTS || request.signal.aborted) {
        return answer instanceof Response ? answer : Promise.reject(answer);
      }
      await Promise.all([server.back(), pause(PAUSE)]);
    }
  };
}

/** Ask once; resolves to what went wrong, too. */
async function attemptOf(base: Fetch, request: Request): Promise<unknown> {
  try {
    return await base(request);
  } catch (error) {
    return error;
  }
}
