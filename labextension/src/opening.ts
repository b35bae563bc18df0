/** Opens notebooks on kernels that run already. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { Kernel } from '@jupyterlab/services';

/**
 * Open a new notebook on the kernel of a session.
 *
 * The kernel is given to the file before the file is opened: pages that open notebooks in tabs of
 * their own (Notebook 7) carry nothing but the path over.
 */
export async function openNotebook(app: JupyterFrontEnd, kernel: string, cwd: string): Promise<void> {
  const { contents, sessions } = app.serviceManager;
  const { path, name } = await contents.newUntitled({ path: cwd, type: 'notebook' });
  const local = contents.localPath(path);
  const running: Partial<Kernel.IModel> = { id: kernel }; // the route takes it; its type tells of names only
  const connection = await sessions.startNew({ path: local, name, type: 'notebook', kernel: running });
  connection.dispose(); // the notebook makes its own
  await app.commands.execute('docmanager:open', { path, factory: 'Notebook' });
}
