/** What the page knows of this user's sessions. */

import type { Event } from '@jupyterlab/services';
import { DisposableDelegate, IDisposable } from '@lumino/disposable';
import { Poll } from '@lumino/polling';
import { ISignal, Signal } from '@lumino/signaling';

import { Api, Refusal } from './api';
import type { Settings } from './settings';
import { hasEnded } from './states';
import { ABOUT_SESSIONS, ISession } from './tokens';
import { readSubject } from './wire';

/** Milliseconds between two looks, at least, while nobody looks at figures. */
const UNWATCHED = 60_000;

/** Milliseconds in which events are gathered before the server is asked once. */
const GATHER = 120;

/** More changed sessions than this are asked for by one list. */
const ONE_BY_ONE = 3;

/**
 * Keeps the list of sessions.
 *
 * Events are hints; the server's answers are the truth. A slow poll is the safety net, and what
 * keeps figures fresh; it rests while the page is hidden.
 */
export class Sessions {
  constructor(
    private readonly api: Api,
    private readonly settings: Settings
  ) {
    settings.changed.connect(() => this.pace());
    this.poll = new Poll({
      auto: false,
      factory: () => this.load(),
      frequency: { interval: UNWATCHED, backoff: true, max: 300_000 },
      name: 'jupyter-sessmgr:sessions',
      standby: 'when-hidden',
      linger: 0
    });
    document.addEventListener('visibilitychange', () => this.shown());
  }

  /** Emitted when anything of the list changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Emitted after each look at the whole list, which has new figures. */
  get loaded(): ISignal<this, void> {
    return this._loaded;
  }

  /** Sessions that live, newest first. */
  get live(): readonly ISession[] {
    return [...this.known.values()];
  }

  /** Sessions that ended lately, the last one first; empty until somebody wants to see them. */
  get ended(): readonly ISession[] {
    return this._ended;
  }

  /** Whether somebody wants to see those that ended. */
  get showsEnded(): boolean {
    return this._showsEnded;
  }

  set showsEnded(wanted: boolean) {
    this._showsEnded = wanted;
    this.endedIsOld = true;
    void this.poll.refresh();
  }

  /** Why the list may be out of date: what the last look ended with; null when it is not. */
  get trouble(): unknown {
    return this._trouble;
  }

  /** Whether the server has answered once. */
  get isReady(): boolean {
    return this._ready;
  }

  /** The session of this id, if it lives. */
  find(id: string): ISession | undefined {
    return this.known.get(id);
  }

  /** Begin to look. */
  start(): void {
    void this.poll.start();
  }

  /** Note an event. */
  heard(event: Event.Emission): void {
    const id = readSubject(event);
    if (ABOUT_SESSIONS.has(event.schema_id) && id !== '') {
      this.dirty.add(id);
      this.timer ??= window.setTimeout(() => void this.catchUp(), GATHER);
    }
  }

  /** Keep figures fresh while somebody looks at them; ends with what is returned. */
  watch(): IDisposable {
    this.watchers += 1;
    this.pace();
    void this.poll.refresh();
    return new DisposableDelegate(() => {
      this.watchers -= 1;
      this.pace();
    });
  }

  /** Ask the server now. */
  async refresh(): Promise<void> {
    this.endedIsOld = true;
    await this.poll.refresh();
    await this.poll.tick;
  }

  /** Look at once when the page is shown again: the poll would wait for its next turn. */
  private shown(): void {
    if (!document.hidden && this.poll.state.phase !== 'constructed') {
      void this.poll.refresh();
    }
  }

  private pace(): void {
    const watched = this.settings.now.refreshInterval * 1000;
    const interval = this.watchers > 0 ? watched : Math.max(watched, UNWATCHED);
    this.poll.frequency = { ...this.poll.frequency, interval };
  }

  private async load(): Promise<void> {
    const asked = ++this.asked;
    try {
      const listed = await this.api.live();
      if (asked < this.written) {
        return; // overtaken by the answer to a newer question
      }
      this.written = asked;
      const live = this.withNewer(listed, asked);
      this.endedIsOld ||= [...this.known.keys()].some(id => !live.has(id));
      this.known = live;
      if (this._showsEnded && this.endedIsOld) {
        this._ended = byEnd(await this.api.ended());
        this.endedIsOld = false;
      }
      this._ready = true;
      this._trouble = null;
      this._loaded.emit();
    } catch (error) {
      if (asked >= this.written) {
        this._trouble = error;
        if (error instanceof Refusal && error.isMissing) {
          void this.poll.stop(); // until somebody asks for it
        }
        throw error; // the poll backs off
      }
    } finally {
      this._changed.emit();
    }
  }

  /** Ask for what events spoke of: one by one when it is little. */
  private async catchUp(): Promise<void> {
    const ids = [...this.dirty];
    this.dirty.clear();
    this.timer = undefined;
    if (document.hidden || ids.length > ONE_BY_ONE) {
      this.endedIsOld = true;
      if (!document.hidden) {
        await this.poll.refresh();
      } // else it looks when the page is shown again
      return;
    }
    const asked = ++this.asked;
    try {
      const found = await Promise.all(ids.map(id => this.api.session(id)));
      found.forEach((one, index) => this.note(ids[index] ?? '', one, asked));
      this._changed.emit();
    } catch {
      void this.poll.refresh(); // which says what is wrong
    }
  }

  /** A list, but for what was asked of single sessions after it was asked for. */
  private withNewer(listed: readonly ISession[], asked: number): Map<string, ISession> {
    const live = new Map(listed.map(one => [one.id, one]));
    const newer: [string, ISession][] = [];
    for (const [id, at] of this.noted) {
      const session = this.known.get(id);
      if (at < asked) {
        this.noted.delete(id);
      } else if (session === undefined) {
        live.delete(id);
      } else if (live.has(id)) {
        live.set(id, session);
      } else {
        newer.push([id, session]);
      }
    }
    return new Map([...newer, ...live]);
  }

  private note(id: string, session: ISession | null, asked: number): void {
    if (asked < Math.max(this.written, this.noted.get(id) ?? 0)) {
      return; // overtaken
    }
    this.noted.set(id, asked);
    if (session === null || hasEnded(session)) {
      this.known.delete(id); // it ended, or is another user's
    } else if (this.known.has(id)) {
      this.known.set(id, session);
    } else {
      this.known = new Map([[id, session], ...this.known]);
    }
    if (session !== null && hasEnded(session) && this._showsEnded) {
      this._ended = byEnd([session, ...this._ended.filter(one => one.id !== id)]);
    }
  }

  private known = new Map<string, ISession>();
  private readonly dirty = new Set<string>();
  private readonly poll: Poll;
  private timer: number | undefined;
  /** Requests are numbered, since their answers may come in another order. */
  private asked = 0;
  /** The request whose list was taken over last. */
  private written = 0;
  /** Sessions that were asked for since that one, by the request. */
  private readonly noted = new Map<string, number>();
  private watchers = 0;
  private _ended: readonly ISession[] = [];
  private _showsEnded = false;
  /** Whether sessions may have ended since those that did were asked for. */
  private endedIsOld = true;
  private _ready = false;
  private _trouble: unknown = null;
  private readonly _loaded = new Signal<this, void>(this);
  private readonly _changed = new Signal<this, void>(this);
}

function byEnd(sessions: readonly ISession[]): ISession[] {
  return [...sessions].sort((one, other) => (other.endedAt ?? '').localeCompare(one.endedAt ?? ''));
}
