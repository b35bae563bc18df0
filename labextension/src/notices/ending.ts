/** Notices about sessions that will be ended for a limit of time. */

import { Notification } from '@jupyterlab/apputils';

import { IContext, tell } from '../actions/context';
import { keepFor } from '../actions/dialogs';
import { hasEnded, isForIdle } from '../states';
import type { ISession, ISessionExpiring } from '../tokens';
import { say } from './say';

const HOUR = 3600;

/** Milliseconds by which an end must have moved to be another one. */
const MOVED = 30_000;

/** What the notices work with. */
type Needs = Pick<IContext, 'api' | 'sessions' | 'health' | 'trans'>;

/** A notice that is shown. */
interface INotice {
  readonly notice: string;
  /** Milliseconds since the epoch. */
  readonly endsAt: number;
}

/**
 * Says that a session will end, as long as it will, and how to keep it.
 *
 * Events go to every user of the server; what the server, asked by this user, does not know is
 * another's.
 */
export class EndingNotices {
  constructor(private readonly context: Needs) {}

  /** A session will be ended. */
  async expires(event: ISessionExpiring): Promise<void> {
    const session = await this.context.api.session(event.id).catch(() => null);
    if (session === null || hasEnded(session)) {
      return;
    }
    this.dismiss(session.id);
    const actions = isForIdle(event.limit) ? this.actions(session) : [];
    const { endsAt, limit } = event;
    const words = this.words(session, limit, endsAt);
    const notice = say(words, 'warning', this.context.trans, actions);
    this.shown.set(session.id, { notice, endsAt });
  }

  /** Take back what is not true any more. */
  look(): void {
    for (const [id, { endsAt }] of this.shown) {
      const end = Date.parse(this.context.sessions.find(id)?.endsAt ?? '');
      if (!(end <= endsAt + MOVED)) {
        this.dismiss(id);
      }
    }
  }

  private dismiss(id: string): void {
    const shown = this.shown.get(id);
    if (shown !== undefined) {
      Notification.dismiss(shown.notice);
      this.shown.delete(id);
    }
  }

  private actions(session: ISession): Notification.IAction[] {
    const { health, trans } = this.context;
    const seconds = Math.min(HOUR, health.now.maxExtension);
    const label =
      seconds === HOUR
        ? trans.__('Keep for an Hour')
        : trans.__('Keep for %1 min', Math.floor(seconds / 60));
    const callback = () => void this.keep(session, seconds);
    return seconds > 0 ? [{ label, callback, displayType: 'accent' }] : [];
  }

  private async keep(session: ISession, seconds: number): Promise<void> {
    try {
      await keepFor(this.context, session, seconds);
    } catch (error) {
      tell(error, this.context);
    }
    await this.context.sessions.refresh();
  }

  private words(session: ISession, limit: string, endsAt: number): string {
    const { trans } = this.context;
    const at = new Date(endsAt).toLocaleTimeString(undefined, { timeStyle: 'short' });
    const why: Record<string, string> = {
      idle: trans.__('since nobody uses it'),
      'never-connected': trans.__('since nobody ever used it'),
      lifetime: trans.__('since it may not become older; save what you need'),
      'server-stopped': trans.__('since its Jupyter server is gone; save what you need')
    };
    return trans.__('%1 ends at %2, %3.', session.name, at, why[limit] ?? limit);
  }

  private readonly shown = new Map<string, INotice>();
}
