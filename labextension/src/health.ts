/** What the server's part can do. */

import { ISignal, Signal } from '@lumino/signaling';

import type { Api } from './api';
import type { IHealth } from './tokens';

const UNKNOWN: IHealth = {
  engine: '',
  reason: '',
  suspends: false,
  maxExtension: 0
};

/** Remembers the server's last word on it; nothing is promised before there is one. */
export class ServerHealth {
  constructor(private readonly api: Api) {}

  /** Emitted when it became known. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** What the server said last. */
  get now(): IHealth {
    return this._now;
  }

  /** Ask; a server that does not answer is told of elsewhere. */
  async refresh(): Promise<void> {
    const found = await this.api.health().catch(() => null);
    if (found !== null) {
      this._now = found;
      this._changed.emit();
    }
  }

  private _now = UNKNOWN;
  private readonly _changed = new Signal<this, void>(this);
}
