/** Opens notebooks and consoles on kernels. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { IDefaultFileBrowser } from '@jupyterlab/filebrowser';
import { Kernel, SessionAPI } from '@jupyterlab/services';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';

/** JupyterLab's command for consoles; not every front end has them. */
const CONSOLE = 'console:create';

/** A kernel that runs, by its id, or a new one, by its kernelspec's name. */
export interface IKernelChoice {
  readonly id?: string;
  readonly name?: string;
}

/** The folder in front: the one that a command names, or else the file browser's. */
export function folderOf(files: IDefaultFileBrowser | null, args: ReadonlyPartialJSONObject): string {
  return typeof args['cwd'] === 'string' ? args['cwd'] : (files?.model.path ?? '');
}

/** Whether there are consoles here. */
export function hasConsoles(app: JupyterFrontEnd): boolean {
  return app.commands.hasCommand(CONSOLE);
}

/** Open a new console on a kernel. */
export async function openConsole(
  app: JupyterFrontEnd,
  kernel: IKernelChoice,
  cwd: string
): Promise<void> {
  await app.commands.execute(CONSOLE, { cwd, kernelPreference: { ...kernel } });
}

/** Open a new notebook on a kernel. */
export async function openNotebook(
  app: JupyterFrontEnd,
  { id, name }: IKernelChoice,
  cwd: string
): Promise<void> {
  await (id === undefined
    ? app.commands.execute('notebook:create-new', { cwd, kernelName: name ?? '' })
    : openOnRunning(app, id, cwd));
}

/**
 * Open a new notebook on a kernel that runs.
 *
 * The kernel is given to the file before the file is opened: pages that open notebooks in tabs of
 * their own (Notebook 7) carry nothing but the path over.
 */
async function openOnRunning(app: JupyterFrontEnd, kernel: string, cwd: string): Promise<void> {
  const { contents, serverSettings, sessions } = app.serviceManager;
  const { path, name } = await contents.newUntitled({ path: cwd, type: 'notebook' });
  const local = contents.localPath(path);
  const running: Partial<Kernel.IModel> = { id: kernel }; // the route takes it; its type tells of names only
  try {
    const options = { path: local, name, type: 'notebook', kernel: running };
    await SessionAPI.startSession(options, serverSettings); // the notebook connects itself
    await sessions.refreshRunning();
  } catch (error) {
    await contents.delete(path).catch(() => undefined); // nobody asked for an empty file
    throw error;
  }
  await app.commands.execute('docmanager:open', { path, factory: 'Notebook' });
}
