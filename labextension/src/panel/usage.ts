/** What sessions used in the last minutes, as far as this page saw it. */

import type { Sessions } from '../sessions';

/** How many figures are kept of each. */
const KEPT = 30;

/** One figure. */
export interface IFigure {
  readonly cpu: number;
  readonly memory: number;
}

/** Gathers the figures of all live sessions, for their small graphs. */
export class UsageHistory {
  constructor(sessions: Sessions) {
    sessions.loaded.connect(() => this.note(sessions));
  }

  /** The oldest first. */
  of(id: string): readonly IFigure[] {
    return this.figures.get(id) ?? [];
  }

  private note(sessions: Sessions): void {
    const living = new Set(sessions.live.map(one => one.id));
    [...this.figures.keys()].filter(id => !living.has(id)).forEach(id => this.figures.delete(id));
    for (const { id, cpu, memory } of sessions.live) {
      if (cpu !== null || memory !== null) {
        const figure = { cpu: cpu ?? 0, memory: memory ?? 0 };
        this.figures.set(id, [...this.of(id), figure].slice(-KEPT));
      }
    }
  }

  private readonly figures = new Map<string, readonly IFigure[]>();
}
