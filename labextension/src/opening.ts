/** Opens notebooks on kernels that run already. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { IDefaultFileBrowser } from '@jupyterlab/filebrowser';
import { Kernel, SessionAPI } from '@jupyterlab/services';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';

/** The folder in front: the one that a command names, or else the file browser's. */
export function folderOf(files: IDefaultFileBrowser | null, args: ReadonlyPartialJSONObject): string {
  return typeof args['cwd'] === 'string' ? args['cwd'] : (files?.model.path ?? '');
}

/**
 * Open a new notebook on the kernel of a session.
 *
 * The kernel is given to the file before the file is opened: pages that open notebooks in tabs of
 * their own (Notebook 7) carry nothing but the path over.
 */
export async function openNotebook(app: JupyterFrontEnd, kernel: string, cwd: string): Promise<void> {
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
