/** Notices about starts: one while a session starts, one when that failed. */

import { Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { Api } from './api';
import { ISessionStatus, IStartProgress } from './tokens';

/** Milliseconds that a start may take before anything is shown: most are faster. */
const PATIENCE = 700;

/** More notices than this at once would only hide the page. */
const MOST = 3;

/** Statuses that say a start has ended, and how. */
const GOOD = new Set(['RUNNING']);
const BAD = new Set(['ERROR']);
const QUIET = new Set(['CANCELLED', 'TERMINATED', 'SUSPENDED']);

/** A start that is under way. */
interface IStart {
  latest: IStartProgress;
  /** Ends the wait before the notice is shown. */
  timer: number;
  /** The notice, once it is shown. */
  notice: string;
}

/**
 * Shows what the events say of starts.
 *
 * Events go to every user of the server, so a session is shown only when the server, asked by this
 * user, knows it.
 */
export class StartNotices {
  constructor(
    private readonly api: Api,
    private readonly trans: TranslationBundle
  ) {}

  /** A session that starts came further. */
  progressed(event: IStartProgress): void {
    const start = this.starts.get(event.session_id);
    if (start === undefined) {
      const timer = window.setTimeout(() => void this.show(event.session_id), PATIENCE);
      this.starts.set(event.session_id, { latest: event, timer, notice: '' });
      return;
    }
    start.latest = event;
    if (start.notice) {
      Notification.update({ id: start.notice, message: this.words(event), ...rest(event) });
    }
  }

  /** A session's status became another. */
  changed(event: ISessionStatus): void {
    if (GOOD.has(event.status) || QUIET.has(event.status)) {
      this.end(event.session_id);
    } else if (BAD.has(event.status) && this.end(event.session_id)) {
      void this.explain(event.session_id);
    }
  }

  /** Forget all. */
  dispose(): void {
    [...this.starts.keys()].forEach(id => this.end(id));
  }

  private async show(id: string): Promise<void> {
    const session = await this.api.session(id).catch(() => null);
    const start = this.starts.get(id);
    const shown = [...this.starts.values()].filter(other => other.notice !== '').length;
    if (session === null || start === undefined || shown >= MOST) {
      return;
    }
    start.notice = Notification.emit(this.words(start.latest), 'in-progress', {
      autoClose: false,
      ...rest(start.latest)
    });
  }

  /** End a start's notice; tells whether a start was under way. */
  private end(id: string): boolean {
    const start = this.starts.get(id);
    if (start === undefined) {
      return false;
    }
    this.starts.delete(id);
    window.clearTimeout(start.timer);
    if (start.notice) {
      Notification.dismiss(start.notice);
    }
    return true;
  }

  private async explain(id: string): Promise<void> {
    const session = await this.api.session(id).catch(() => null);
    if (session !== null) {
      const why = session.info || this.trans.__('The server gave no reason; see its log.');
      Notification.error(this.trans.__('The remote kernel did not start. %1', why), {
        autoClose: false
      });
    }
  }

  private words(event: IStartProgress): string {
    return this.trans.__('Remote kernel: %1', event.info || event.phase);
  }

  private readonly starts = new Map<string, IStart>();
}

function rest(event: IStartProgress): { progress?: number } {
  return event.progress === undefined ? {} : { progress: event.progress };
}
