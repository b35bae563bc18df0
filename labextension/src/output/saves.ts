/** Saves of documents that may take long, since they wait for the server. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { DocumentRegistry } from '@jupyterlab/docregistry';

/** What makes the widgets in which people edit documents. */
const EDITORS = ['Notebook', 'Editor'];

/** Follow all documents that people edit. */
export function addSaves(registry: JupyterFrontEnd['docRegistry']): void {
  const known = new WeakSet<DocumentRegistry.Context>();
  const follow = (_: unknown, context: DocumentRegistry.Context) => {
    if (!known.has(context)) {
      known.add(context); // which several widgets may show
      saveInTurn(context);
      keepEdited(context);
    }
  };
  EDITORS.forEach(name => registry.addWidgetExtension(name, { createNew: follow }));
}

/**
 * Have saves follow each other: one at a time, and of those that wait the last stands for all.
 *
 * Else those that were held while the server was away would race, and an older one might win.
 */
function saveInTurn(context: DocumentRegistry.Context): void {
  const save = context.save.bind(context);
  let ended: Promise<unknown> = Promise.resolve();
  let next: Promise<void> | null = null;
  context.save = () => {
    next ??= ended.then(() => {
      next = null;
      const saved = save();
      ended = saved.catch(() => undefined); // who asked for it is told
      return saved;
    });
    return next;
  };
}

/** Have what is edited during a save count as not saved, which JupyterLab forgets at its end. */
function keepEdited({ model, saveState }: DocumentRegistry.Context): void {
  let edited = false;
  model.contentChanged.connect(() => {
    edited = true;
  });
  saveState.connect((_, state) => {
    if (state === 'started') {
      edited = false;
    } else if (state === 'completed' && edited && !model.collaborative) {
      model.dirty = true;
    }
  });
}
