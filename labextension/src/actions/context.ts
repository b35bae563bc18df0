/** What commands about sessions work with. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { ICommandPalette } from '@jupyterlab/apputils';
import type { IDefaultFileBrowser } from '@jupyterlab/filebrowser';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { Api } from '../api';
import type { Front } from '../front';
import type { ServerHealth } from '../health';
import { say } from '../notices/say';
import type { Sessions } from '../sessions';
import type { ISession } from '../tokens';
import type { KernelUsers } from '../users';
import { sayError } from '../words';

/** What the commands work with. */
export interface IContext {
  readonly app: JupyterFrontEnd;
  readonly api: Api;
  readonly sessions: Sessions;
  readonly trans: TranslationBundle;
  readonly palette: ICommandPalette | null;
  /** Whose folder is the one in front; null where there is no such thing. */
  readonly files: IDefaultFileBrowser | null;
  readonly front: Front;
  /** Whether pages can be added to this one; Notebook 7 shows one at a time. */
  readonly hasTabs: boolean;
  readonly users: KernelUsers;
  readonly health: ServerHealth;
  /** Sessions that were stopped in this window, of whose end nobody needs to be told. */
  readonly stopped: Set<string>;
}

/** A command about one session. */
export interface IAction {
  readonly id: string;
  readonly label: string;
  /** Whether it is for a session that is like this one. */
  readonly of: (session: ISession) => boolean;
  /** Why it cannot be done here, for its label; "" when it can. */
  readonly unable?: () => string;
  readonly work: (session: ISession) => Promise<void>;
}

/** Tell what went wrong. */
export function tell(error: unknown, { trans }: Pick<IContext, 'trans'>): void {
  say(sayError(error, trans), 'error', trans);
}
