/** Knows which open pages use which session, also after that has ended. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { Widget } from '@lumino/widgets';

import { contextOf, Front } from './front';
import type { Sessions } from './sessions';

/**
 * Notebooks and consoles by the kernel that they had last.
 *
 * JupyterLab forgets a kernel that is gone before anybody could say what became of it.
 */
export class KernelUsers {
  constructor(
    private readonly shell: JupyterFrontEnd.IShell,
    front: Front,
    sessions: Sessions
  ) {
    front.changed.connect(() => this.look());
    sessions.changed.connect(() => {
      sessions.live.forEach(one => this.ours.add(one.id));
      this.look();
    });
  }

  /** Whether a kernel is, or was, a session's. */
  wasSession(id: string): boolean {
    return this.ours.has(id);
  }

  /** Pages whose kernel is, or was last, that of a session. */
  of(id: string): Widget[] {
    this.look();
    return this.pages().filter(page => this.last.get(page) === id);
  }

  /** Names of these pages. */
  names(id: string): string[] {
    return this.of(id).map(page => page.title.label);
  }

  /** The kernel that a page has, or had last. */
  kernelOf(page: Widget | null): string | null {
    return page === null ? null : (this.last.get(page) ?? null);
  }

  private look(): void {
    for (const page of this.pages()) {
      const kernel = contextOf(page)?.session?.kernel?.id;
      if (kernel !== undefined) {
        this.last.set(page, kernel);
      }
    }
  }

  private pages(): Widget[] {
    return [...this.shell.widgets('main')];
  }

  private readonly ours = new Set<string>();
  private readonly last = new WeakMap<Widget, string>();
}
