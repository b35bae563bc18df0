/** How far starts are, as the events said last. */

import type { ISessionStatus, IStartProgress } from '../tokens';
import { STARTING } from '../tokens';

/** Most starts that are remembered: whose end was not heard are forgotten by and by. */
const MOST = 1000;

/** Remembers what was said of each session that starts. Server's answers have no fractions. */
export class StartProgress {
  /** A session that starts came further. */
  progressed(event: IStartProgress): void {
    this.latest.delete(event.id);
    this.latest.set(event.id, event);
    const [oldest] = this.latest.keys();
    if (this.latest.size > MOST && oldest !== undefined) {
      this.latest.delete(oldest);
    }
  }

  /** A session's status became another. */
  changed(event: ISessionStatus): void {
    if (!STARTING.has(event.status)) {
      this.latest.delete(event.id);
    }
  }

  /** What was said last of a session that starts; null: nothing. */
  of(id: string): IStartProgress | null {
    return this.latest.get(id) ?? null;
  }

  private readonly latest = new Map<string, IStartProgress>();
}
