/** Brings notebooks what their kernels did before the page was loaded, or another one was chosen. */

import type { CodeCell } from '@jupyterlab/cells';
import { INotebookTracker, NotebookActions, NotebookPanel } from '@jupyterlab/notebook';
import { Contents, Kernel, KernelMessage, ServerConnection } from '@jupyterlab/services';

import type { Api } from '../api';
import { objects } from '../json';
import type { Settings } from '../settings';
import { attach, forget, showIdle, showWaiting } from './attached';
import { ICellState, IExecution, IRan, isMissing, lastOfCells } from './executions';
import type { ServerWatch } from './server';

/** Executions that are brought at a time: each one that goes on keeps the recorder busy. */
const AT_ONCE = 6;

/** Other notebooks that are looked for, at most: which there were is told from inside a session. */
const MOST_PATHS = 10;

/** Executions of a cell that are remembered beside its last one. */
const MOST_BEFORE = 20;

/** What bringing output back needs. */
export interface IReturnParts {
  readonly api: Api;
  readonly contents: Contents.IManager;
  readonly server: ServerWatch;
  readonly settings: Settings;
}

/** Follow all notebooks. */
export function addReturns(notebooks: INotebookTracker, parts: IReturnParts): void {
  const followed = new Map<unknown, NotebookReturns>();
  const follow = (panel: NotebookPanel) => {
    followed.set(panel.content, new NotebookReturns(panel, parts));
    panel.disposed.connect(() => followed.delete(panel.content));
  };
  notebooks.forEach(follow);
  notebooks.widgetAdded.connect((_, panel) => follow(panel));
  NotebookActions.outputCleared.connect((_, { notebook, cell }) => {
    followed.get(notebook)?.cleared(cell.model.id);
  });
}

/** One notebook, whichever kernel it has. */
class NotebookReturns {
  constructor(
    private readonly panel: NotebookPanel,
    private readonly parts: IReturnParts
  ) {
    panel.sessionContext.kernelChanged.connect(() => this.meet());
    this.meet();
  }

  /** Note that a person emptied a cell: what it had does not come back. */
  cleared(cell: string): void {
    const id = this.last.get(cell);
    if (id !== undefined && !this.running.has(id) && this.kernel !== null) {
      this.last.delete(cell);
      forget(this.kernel, id);
    }
  }

  /** Begin with a kernel. */
  private meet(): void {
    const kernel = this.panel.sessionContext.session?.kernel ?? null;
    if (kernel === this.kernel) {
      return;
    }
    this.giveUp();
    this.kernel = kernel;
    this.last.clear();
    if (kernel === null) {
      return;
    }
    this.label(kernel);
    kernel.statusChanged.connect((_, status) => {
      if (LOST.has(status) && kernel === this.kernel) {
        this.giveUp();
      }
    });
    let known = false;
    const connected = () => {
      if (kernel.connectionStatus !== 'connected' || kernel !== this.kernel) {
        return;
      }
      if (known) {
        this.again(kernel);
      } else {
        known = true;
        void this.begin(kernel);
      }
    };
    kernel.connectionStatusChanged.connect(connected);
    connected();
  }

  /** Expect nothing more of what was executed: the kernel that did it is gone. */
  private giveUp(): void {
    const cells = this.cells();
    for (const { cell, id } of this.waiting) {
      const lacking = this.last.get(cell) === id ? cells.get(cell) : undefined;
      if (lacking !== undefined) {
        showIdle(lacking);
      }
    }
    this.waiting = [];
    this.busy.clear();
    this.running.clear();
  }

  /** Have each execution of this notebook say whose it is, and note what is executed. */
  private label(kernel: Kernel.IKernelConnection): void {
    const request = kernel.requestExecute.bind(kernel);
    kernel.requestExecute = (content, disposeOnDone, metadata) => {
      const path = this.panel.context.localPath;
      if (kernel.status === 'dead') {
        this.refused(metadata?.['cellId']); // JupyterLab would show it as running for ever
        throw new Error('Canceled: the kernel is dead'); // by the first word it tells nobody
      }
      const future = request(content, disposeOnDone, { ...metadata, sessmgr: { path } });
      this.asked(future.msg);
      return future;
    };
    kernel.iopubMessage.connect((_, msg) => {
      if (KernelMessage.isStatusMsg(msg) && msg.content.execution_state === 'idle') {
        this.running.delete((msg.parent_header as KernelMessage.IHeader).msg_id);
      }
    });
  }

  /** Note that a cell was not executed: its kernel is dead. */
  private refused(id: unknown): void {
    const cell = typeof id === 'string' ? this.cells().get(id) : undefined;
    if (cell !== undefined) {
      showIdle(cell);
    }
  }

  private asked({ header, metadata }: KernelMessage.IExecuteRequestMsg): void {
    const cell = metadata['cellId'];
    if (typeof cell === 'string') {
      const past = this.ran.get(cell);
      const before = new Set(past && [...past.before, past.id].slice(-MOST_BEFORE));
      this.ran.set(cell, { id: header.msg_id, at: Date.now(), before });
      this.last.set(cell, header.msg_id);
      this.running.add(header.msg_id);
    }
  }

  /** Look what a kernel executed, and bring what is missing. */
  private async begin(kernel: Kernel.IKernelConnection): Promise<void> {
    const { settings } = this.parts;
    await Promise.all([this.panel.context.ready, settings.ready]);
    const { model } = this.panel.context;
    if (!settings.now.reattachOutput || othersHave(model)) {
      return;
    }
    const listed = await this.listed(kernel.id);
    const cells = this.cells();
    const ours = await this.ofThisFile(lastOfCells(listed, states(cells, this.ran)));
    if (kernel !== this.kernel || this.panel.isDisposed) {
      return;
    }
    const saved = Date.parse(this.panel.context.contentsModel?.last_modified ?? '');
    for (const one of ours) {
      const cell = cells.get(one.cell ?? '');
      if (cell === undefined || cell.isDisposed || this.last.has(cell.model.id)) {
        continue; // deleted, or executed just now, which the page follows itself
      }
      this.last.set(cell.model.id, one.id);
      const state = { count: cell.model.executionCount, ran: this.ran.get(cell.model.id) };
      if (isMissing(one, state, saved)) {
        this.waiting.push({ cell: cell.model.id, id: one.id });
        if (one.state !== 'ended') {
          showWaiting(cell);
        }
      }
    }
    this.next(kernel);
  }

  /** Bring once more what was not whole when the connection broke. */
  private again(kernel: Kernel.IKernelConnection): void {
    const broken = [...this.busy].map(one => ({ ...one })); // anew: what broke off ends later
    this.waiting = [...broken, ...this.waiting];
    this.busy.clear();
    this.next(kernel);
  }

  /** Bring as many as may be brought at a time. */
  private next(kernel: Kernel.IKernelConnection): void {
    const cells = this.cells(); // by their ids: one that was moved is another object
    while (this.busy.size < AT_ONCE && this.kernel === kernel) {
      const one = this.waiting.shift();
      if (one === undefined) {
        return;
      }
      const cell = cells.get(one.cell);
      if (cell === undefined || this.last.get(one.cell) !== one.id) {
        continue; // deleted, emptied, or executed again while it waited
      }
      this.busy.add(one);
      this.running.add(one.id);
      void attach(kernel, cell, one.id).then(() => {
        if (this.busy.delete(one)) {
          this.next(kernel);
        }
      });
    }
  }

  /** What a kernel executed; nothing when it is none of ours, or cannot be asked. */
  private async listed(kernel: string): Promise<readonly IExecution[]> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      try {
        return (await this.parts.api.executions(kernel)) ?? [];
      } catch {
        await this.parts.server.back();
      }
    }
    return [];
  }

  /**
   * Leave out what another notebook executed, of which this one may be a copy.
   *
   * A file that has not that cell is another one than then: this notebook was renamed.
   */
  private async ofThisFile(executions: readonly IExecution[]): Promise<readonly IExecution[]> {
    const { localPath } = this.panel.context;
    const paths = new Set(executions.map(one => one.path ?? localPath));
    paths.delete(localPath);
    const asked = [...paths].slice(0, MOST_PATHS).map(async path => {
      return [path, await this.cellsOf(path)] as const;
    });
    const others = new Map(await Promise.all(asked));
    return executions.filter(({ cell, path }) => {
      const there = path === null ? undefined : others.get(path);
      return there === undefined || (there !== null && !there.has(cell));
    });
  }

  /** Ids of a file's cells, none if there is no such file; null when that cannot be told. */
  private async cellsOf(path: string): Promise<ReadonlySet<unknown> | null> {
    try {
      const { content } = await this.parts.contents.get(path, { type: 'notebook', content: true });
      return new Set(objects(content?.cells).map(one => one['id']));
    } catch (error) {
      return (error as ServerConnection.ResponseError).response?.status === 404 ? new Set() : null;
    }
  }

  private cells(): Map<string, CodeCell> {
    const all = this.panel.isDisposed ? [] : this.panel.content.widgets;
    const code = all.filter(one => one.model.type === 'code');
    return new Map(code.map(one => [one.model.id, one as CodeCell]));
  }

  private kernel: Kernel.IKernelConnection | null = null;
  /** What this page executed in each cell. */
  private readonly ran = new Map<string, IRan>();
  /** The last execution of each cell by this kernel, as far as it is known. */
  private readonly last = new Map<string, string>();
  /** Executions that did not end yet. */
  private readonly running = new Set<string>();
  /** What is brought, and what waits for that. */
  private readonly busy = new Set<IWanted>();
  private waiting: IWanted[] = [];
}

/** A cell, and the execution that it lacks. */
interface IWanted {
  /** The cell's id. */
  readonly cell: string;
  readonly id: string;
}

/** How a kernel is that lost what it executed. */
const LOST: ReadonlySet<string> = new Set(['restarting', 'autorestarting', 'terminating', 'dead']);

/** Whether others have a document open, too: they would all see its output come once more. */
function othersHave({ collaborative, sharedModel }: NotebookPanel['context']['model']): boolean {
  const { awareness } = sharedModel as { awareness?: { getStates(): ReadonlyMap<number, unknown> } };
  return collaborative === true && (awareness?.getStates().size ?? 0) > 1;
}

/** How often the server is asked, each time when it is back. */
const ATTEMPTS = 3;

function states(
  cells: ReadonlyMap<string, CodeCell>,
  ran: ReadonlyMap<string, IRan>
): Map<string, ICellState> {
  const known = [...cells].map(([id, cell]): [string, ICellState] => [
    id,
    { count: cell.model.executionCount, ran: ran.get(id) }
  ]);
  return new Map(known);
}
