/** Says when the server's part is missing or is another version's. */

import type { TranslationBundle } from '@jupyterlab/translation';

import type { Api } from '../api';
import { VERSION } from '../tokens';
import { say } from './say';

/** Compares both parts; says once what is wrong. */
export class Versions {
  constructor(
    private readonly api: Api,
    private readonly trans: TranslationBundle
  ) {}

  /** Tell whether the server's part is there. */
  async compare(): Promise<boolean> {
    let version: string | null;
    try {
      version = await this.api.version();
    } catch (error) {
      console.warn('jupyter-sessmgr: the server did not say its version.', error);
      return true;
    }
    if (version !== this.last) {
      this.last = version;
      this.tell(version);
    }
    return version !== null;
  }

  private tell(version: string | null): void {
    const { trans } = this;
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
          'jupyter-sessmgr is %1 in this page and %2 on the server. Reload the page, or start the ' +
            'server again after an upgrade; if neither helps, install the same version for both.',
          VERSION,
          version
        ),
        'warning',
        trans
      );
    }
  }

  /** What the server said last. */
  private last: string | null = VERSION;
}
