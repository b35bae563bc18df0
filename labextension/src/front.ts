/** Follows which kernel the notebook in front uses. */

import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import { ISignal, Signal } from '@lumino/signaling';

/** The kernel of the notebook in front, as it comes and goes. */
export class Front {
  constructor(private readonly notebooks: INotebookTracker) {
    notebooks.currentChanged.connect((_, panel) => this.follow(panel));
    this.follow(notebooks.currentWidget);
  }

  /** Emitted when another notebook is in front, or it got another kernel. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Id of the kernel; null when there is none. */
  get kernel(): string | null {
    return this.notebooks.currentWidget?.sessionContext.session?.kernel?.id ?? null;
  }

  private follow(panel: NotebookPanel | null): void {
    this.followed?.sessionContext.kernelChanged.disconnect(this.tell, this);
    this.followed = panel;
    panel?.sessionContext.kernelChanged.connect(this.tell, this);
    this.tell();
  }

  private tell(): void {
    this._changed.emit();
  }

  private followed: NotebookPanel | null = null;
  private readonly _changed = new Signal<this, void>(this);
}
