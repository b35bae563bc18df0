/** Follows which session the page in front is about. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { ISessionContext } from '@jupyterlab/apputils';
import { ISignal, Signal } from '@lumino/signaling';
import type { Widget } from '@lumino/widgets';

/** What notebooks, consoles and other pages with a kernel have; null for all other pages. */
export function contextOf(widget: Widget | null): ISessionContext | null {
  return (widget as { sessionContext?: ISessionContext } | null)?.sessionContext ?? null;
}

/** Tabs of ours are about one session. */
export interface IAboutSession {
  readonly sessionId: string;
}

/** The page in front, as pages and their kernels come and go. */
export class Front {
  constructor(private readonly shell: JupyterFrontEnd.IShell) {
    shell.currentChanged?.connect(() => this.follow());
    this.follow();
  }

  /** Emitted when another page is in front, or it got another kernel. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** The page itself; null when there is none. */
  get widget(): Widget | null {
    return this.shell.currentWidget;
  }

  /** Whether it uses kernels. */
  get hasKernels(): boolean {
    return contextOf(this.widget) !== null;
  }

  /** Id of its kernel; null when it has none. */
  get kernel(): string | null {
    return contextOf(this.widget)?.session?.kernel?.id ?? null;
  }

  /** Name of its kernel's kernelspec; "" when it has none. */
  get kernelName(): string {
    return contextOf(this.widget)?.session?.kernel?.name ?? '';
  }

  /** Id of the session that it is about: its kernel's, or that of a tab of ours. */
  get session(): string | null {
    return (this.widget as Partial<IAboutSession> | null)?.sessionId ?? this.kernel;
  }

  private follow(): void {
    const context = contextOf(this.widget);
    if (context !== this.followed) {
      this.followed?.kernelChanged.disconnect(this.tell, this);
      this.followed = context;
      context?.kernelChanged.connect(this.tell, this);
    }
    this.tell();
  }

  private tell(): void {
    this._changed.emit();
  }

  private followed: ISessionContext | null = null;
  private readonly _changed = new Signal<this, void>(this);
}
