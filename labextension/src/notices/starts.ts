/** Notices about starts: one while a session starts, one when that failed. */

import { Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { Api } from '../api';
import type { StartProgress } from '../progress';
import type { Sessions } from '../sessions';
import type { Settings } from '../settings';
import { ISessionStatus, IStartProgress, STARTING } from '../tokens';
import { sayError } from '../words';
import { say } from './say';

/** More notices than this at once would only hide the page. */
const MOST = 3;

/** Statuses that say a start has ended, and how. */
const GOOD = new Set(['RUNNING']);
const BAD = new Set(['ERROR']);
const QUIET = new Set(['CANCELLED', 'TERMINATED', 'SUSPENDED']);

/** A start that is under way. */
interface IStart {
  /** Ends the wait before the notice is shown. */
  timer: number;
  /** The notice, once it is shown. */
  notice: string;
  /** What its notice says, as far as that stays. */
  name: string;
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
    private readonly progress: StartProgress,
    private readonly settings: Settings,
    private readonly trans: TranslationBundle
  ) {}

  /** A session that starts came further. */
  progressed(event: IStartProgress): void {
    const id = event.session_id;
    const start = this.starts.get(id);
    if (start === undefined) {
      const patience = this.settings.now.startPatience * 1000;
      const timer = window.setTimeout(() => void this.show(id), patience);
      this.starts.set(id, { timer, notice: '', name: '' });
    } else if (start.notice) {
      Notification.update({ id: start.notice, ...this.said(start.name, event) });
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

  /** Take notices back of starts whose end was not heard. */
  look(sessions: Sessions): void {
    for (const [id, { notice }] of this.starts) {
      const session = sessions.find(id);
      if (notice !== '' && session === undefined && this.end(id)) {
        void this.explain(id);
      } else if (session !== undefined && !STARTING.has(session.status)) {
        this.end(id);
      }
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
    if (session === null || start === undefined) {
      return;
    }
    if (!STARTING.has(session.status)) {
      this.end(id); // its end was not heard
      return;
    }
    const latest = this.progress.of(id);
    if (shown < MOST && latest !== null && this.settings.now.startNotices) {
      start.name = session.name;
      const { message, progress } = this.said(session.name, latest);
      start.notice = Notification.emit(message, 'in-progress', {
        autoClose: false,
        actions: [{ label: this.trans.__('Cancel Start'), callback: () => void this.cancel(id) }],
        ...(progress === undefined ? {} : { progress })
      });
    }
  }

  /** Give a start up; whoever waits for it is told by the server. */
  private async cancel(id: string): Promise<void> {
    this.end(id);
    try {
      await this.api.destroy(id);
    } catch (error) {
      say(sayError(error, this.trans), 'error', this.trans);
    }
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
    if (session !== null && BAD.has(session.status)) {
      const why = session.info || this.trans.__('The server gave no reason; see its log.');
      say(this.trans.__('%1 did not start. %2', session.name, why), 'error', this.trans);
    }
  }

  private said(name: string, event: IStartProgress): { message: string; progress?: number } {
    const message = this.trans.__('%1: %2', name, event.info || event.phase);
    return event.progress === undefined ? { message } : { message, progress: event.progress };
  }

  private readonly starts = new Map<string, IStart>();
}
