/** Says once when the server's part is missing or is another version's. */

import type { TranslationBundle } from '@jupyterlab/translation';

import type { Api } from './api';
import { say } from './notices/say';
import { VERSION } from './tokens';

/** Compare both parts; tells whether the server's part is there. */
export async function compare(api: Api, trans: TranslationBundle): Promise<boolean> {
  let version: string | null;
  try {
    version = await api.version();
  } catch (error) {
    console.warn('jupyter-sessmgr: the server did not say its version.', error);
    return true;
  }
  if (version === null) {
    say(
      trans.__(
        'Remote kernels are off: the server runs without the jupyter_sessmgr extension. ' +
          'Install jupyter-sessmgr into the environment of the server, or enable it with ' +
          '"jupyter server extension enable jupyter_sessmgr"; "jupyter sessmgr check" says more.'
      ),
      'warning',
      trans
    );
  } else if (version !== VERSION) {
    say(
      trans.__(
        'jupyter-sessmgr is %1 in this page and %2 on the server. Reload the page; if that does ' +
          'not help, install the same version for both.',
        VERSION,
        version
      ),
      'warning',
      trans
    );
  }
  return version !== null;
}
