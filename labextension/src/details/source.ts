/** What the server says of one session and what it writes, while somebody looks. */

import { IDisposable } from '@lumino/disposable';
import { Poll } from '@lumino/polling';
import { ISignal, Signal } from '@lumino/signaling';

import type { Api } from '../api';
import type { Sessions } from '../sessions';
import { hasEnded } from '../states';
import type { ISession } from '../tokens';

/** Milliseconds between two looks at what is written: while there is news, and at most. */
const LOOK = 1000;
const LONGEST = 20_000;

/**
 * Looks at a session's log; a log that does not change is looked at less and less often.
 *
 * How the session is, the list knows while it lives.
 */
export class DetailsSource implements IDisposable {
  constructor(
    readonly id: string,
    private readonly api: Api,
    private readonly sessions: Sessions
  ) {
    this.session = sessions.find(id) ?? null;
    sessions.changed.connect(this.follow, this);
    this.poll = new Poll({
      auto: false,
      factory: () => this.load(),
      frequency: { interval: LOOK, backoff: true, max: 60_000 },
      name: `jupyter-sessmgr:details-${id}`,
      standby: 'when-hidden',
      linger: 0
    });
    document.addEventListener('visibilitychange', this.shown);
  }

  /** Emitted when anything of what is known changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  session: ISession | null;
  log = '';
  /** What went wrong with the last look; null: nothing. */
  error: unknown = null;
  /** Whether the server has answered once. */
  isReady = false;

  /** Look as long as somebody does. */
  watch(watched: boolean): void {
    this.isWatched = watched;
    void (watched ? this.poll.refresh() : this.poll.stop());
  }

  get isDisposed(): boolean {
    return this.poll.isDisposed;
  }

  dispose(): void {
    document.removeEventListener('visibilitychange', this.shown);
    this.poll.dispose();
    Signal.clearData(this);
  }

  /** Take over what the list of sessions has heard. */
  private follow(): void {
    const known = this.sessions.find(this.id);
    if (known !== undefined && known !== this.session) {
      this.session = known;
      this._changed.emit();
    } else if (known === undefined && this.session !== null && !hasEnded(this.session)) {
      this.look(); // it ended
    } else if (this.error !== null && this.sessions.trouble === null) {
      this.look(); // the server is back
    }
  }

  /** Look at once when the page is shown again: the poll would wait for its next turn. */
  private readonly shown = (): void => {
    if (!document.hidden && !this.isOver) {
      this.look();
    }
  };

  /** Look now; while nobody watches, the next who does will see. */
  private look(): void {
    if (this.isWatched) {
      void this.poll.refresh();
    }
  }

  private get isOver(): boolean {
    return this.isReady && (this.session === null || hasEnded(this.session));
  }

  private async load(): Promise<void> {
    try {
      const known = this.sessions.find(this.id);
      const [session, log] = await Promise.all([
        known ?? this.api.session(this.id),
        this.api.log(this.id).catch(error => this.unwritten(error))
      ]);
      const { interval } = this.poll.frequency;
      const next = log === this.log ? Math.min(interval * 2, LONGEST) : LOOK;
      this.poll.frequency = { ...this.poll.frequency, interval: next };
      [this.session, this.log, this.error, this.isReady] = [session, log, null, true];
    } catch (error) {
      this.error = error;
      throw error; // the poll backs off
    } finally {
      this._changed.emit();
    }
    if (this.isOver) {
      void this.poll.stop(); // nothing more will come
    }
  }

  /** Give the log of a session that has none yet; anything else is an error. */
  private unwritten(error: unknown): string {
    const { status } = error as { status?: unknown };
    if (status === 404 || status === 409) {
      return this.log;
    }
    throw error;
  }

  private isWatched = false;
  private readonly poll: Poll;
  private readonly _changed = new Signal<this, void>(this);
}
