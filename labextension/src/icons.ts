/** The icon of sessions. */

import { LabIcon } from '@jupyterlab/ui-components';

/** Two servers in a rack; its colour follows the theme. */
export const sessionIcon = new LabIcon({
  name: 'jupyter-sessmgr:session',
  svgstr:
    '<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 16 16">' +
    '<path class="jp-icon3" fill="#616161" fill-rule="evenodd" ' +
    'd="M2 2h12v5H2zm1.5 1.8v1.4H5V3.800zM2 9h12v5H2zm1.500 1.800v1.400H5v-1.400z"/></svg>'
});
