/** Notices about starts: one while a session starts, one when that failed. */

import { Notification } from '@jupyterlab/apputils';
import type { Event } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { Api } from '../api';
import type { Sessions } from '../sessions';
import type { Settings } from '../settings';
import { StartProgress } from '../starting/progress';
import { isStarting } from '../states';
import { ISessionStatus, IStartProgress, SESSION_STATUS, START_PROGRESS } from '../tokens';
import { readProgress, readStatus } from '../wire';
import { sayError } from '../words';
import { say } from './say';

/** More notices than this at once would only hide the page. */
const MOST = 3;

/** Status that says that a start failed. */
const FAILED = 'ERROR';

/** Statuses that say that a start is over, and that there is nothing to tell of it. */
const OVER: ReadonlySet<string> = new Set(['RUNNING', 'CANCELLED', 'TERMINATED', 'SUSPENDED']);

/** What the notices work with. */
interface INeeds {
  readonly api: Api;
  readonly sessions: Sessions;
  readonly settings: Settings;
  readonly trans: TranslationBundle;
}

/** A start that is under way. */
interface IStart {
  /** Ends the wait before the notice is shown. */
  timer: number;
  /** The notice, once it is shown. */
  notice: string;
  /** What its notice says, as far as that stays. */
  name: string;
}

/** Begin to tell of starts; returns what knows how far each is. */
export function addStartNotices(events: Event.IManager, needs: INeeds): StartProgress {
  const progress = new StartProgress();
  const notices = new StartNotices(needs, progress);
  events.stream.connect((_, event) => {
    if (event.schema_id === START_PROGRESS) {
      const told = readProgress(event);
      progress.progressed(told);
      notices.progressed(told);
    } else if (event.schema_id === SESSION_STATUS) {
      const told = readStatus(event);
      progress.changed(told);
      notices.changed(told);
    }
  });
  needs.sessions.loaded.connect(() => notices.look());
  return progress;
}

/**
 * Shows what the events say of starts.
 *
 * Events go to every user of the server, so a session is shown only when the server, asked by this
 * user, knows it.
 */
class StartNotices {
  constructor(
    private readonly needs: INeeds,
    private readonly progress: StartProgress
  ) {}

  /** A session that starts came further. */
  progressed(event: IStartProgress): void {
    const { id } = event;
    const start = this.starts.get(id);
    if (start === undefined) {
      const patience = this.needs.settings.now.startPatience * 1000;
      const timer = window.setTimeout(() => void this.show(id), patience);
      this.starts.set(id, { timer, notice: '', name: '' });
    } else if (start.notice) {
      Notification.update({ id: start.notice, ...this.said(start.name, event) });
    }
  }

  /** A session's status became another. */
  changed({ id, status }: ISessionStatus): void {
    if (OVER.has(status)) {
      this.end(id);
    } else if (status === FAILED && this.end(id)) {
      void this.explain(id);
    }
  }

  /** Take notices back of starts whose end was not heard. */
  look(): void {
    for (const [id, { notice }] of this.starts) {
      const session = this.needs.sessions.find(id);
      if (notice !== '' && session === undefined && this.end(id)) {
        void this.explain(id);
      } else if (session !== undefined && !isStarting(session)) {
        this.end(id);
      }
    }
  }

  private async show(id: string): Promise<void> {
    const { api, settings, trans } = this.needs;
    const session = await api.session(id).catch(() => null);
    const start = this.starts.get(id);
    const shown = [...this.starts.values()].filter(other => other.notice !== '').length;
    if (session === null || start === undefined) {
      return;
    }
    if (!isStarting(session)) {
      this.end(id); // its end was not heard
      return;
    }
    const latest = this.progress.of(id);
    if (shown < MOST && latest !== null && settings.now.startNotices) {
      start.name = session.name;
      const { message, ...more } = this.said(session.name, latest);
      start.notice = Notification.emit(message, 'in-progress', {
        autoClose: false,
        actions: [{ label: trans.__('Cancel Start'), callback: () => void this.cancel(id) }],
        ...more
      });
    }
  }

  /** Give a start up; whoever waits for it is told by the server. */
  private async cancel(id: string): Promise<void> {
    const { api, trans } = this.needs;
    this.end(id);
    try {
      await api.destroy(id);
    } catch (error) {
      say(sayError(error, trans), 'error', trans);
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
    const { api, trans } = this.needs;
    const session = await api.session(id).catch(() => null);
    if (session?.status === FAILED) {
      const why = session.info || trans.__('The server gave no reason; see its log.');
      say(trans.__('%1 did not start. %2', session.name, why), 'error', trans);
    }
  }

  private said(name: string, { info, phase, progress }: IStartProgress): IWords {
    const message = this.needs.trans.__('%1: %2', name, info || phase);
    return progress === null ? { message } : { message, progress };
  }

  private readonly starts = new Map<string, IStart>();
}

/** What a notice says of a start. */
interface IWords {
  readonly message: string;
  /** Between 0 and 1; absent when unknown. */
  readonly progress?: number;
}
