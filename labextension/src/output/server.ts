/** Knows when the server answers again, and says so. */

import { ISignal, Signal } from '@lumino/signaling';

import type { Api } from '../api';

/** Milliseconds between two tries while the server is away, and while the page is hidden. */
const TRY = 1000;
const TRY_HIDDEN = 5000;

/** Waits for a server that is away: all who wait share one probe. */
export class ServerWatch {
  constructor(private readonly api: Api) {}

  /** Emitted when the server turns out to be away, and when it is back. */
  get changed(): ISignal<this, boolean> {
    return this._changed;
  }

  /** Resolve as soon as the server answers; at once when it does now. */
  back(): Promise<void> {
    this.waiting ??= this.probe().finally(() => {
      this.waiting = null;
    });
    return this.waiting;
  }

  private async probe(): Promise<void> {
    let away = false;
    while (!(await this.answers())) {
      if (!away) {
        away = true;
        this._changed.emit(false);
      }
      const pause = document.hidden ? TRY_HIDDEN : TRY;
      await new Promise(resolve => window.setTimeout(resolve, pause));
    }
    if (away) {
      this._changed.emit(true);
    }
  }

  /** Whether it answers anything that is not said by something in front of it. */
  private async answers(): Promise<boolean> {
    try {
      await this.api.version();
      return true;
    } catch (error) {
      const status = (error as { status?: unknown }).status;
      return typeof status === 'number' && status < 500 && status !== 424;
    }
  }

  private waiting: Promise<void> | null = null;
  private readonly _changed = new Signal<this, boolean>(this);
}
