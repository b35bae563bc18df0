/** A small graph of what a session used. */

import React from 'react';

import type { IFigure } from './usage';

const WIDTH = 48;
const HEIGHT = 16;

/** Draw the processor's line over the memory's area; both to their own highest. */
export function Graph(props: {
  readonly figures: readonly IFigure[];
  readonly memoryLimit: number;
  readonly label: string;
}): JSX.Element | null {
  const { figures, memoryLimit, label } = props;
  if (figures.length < 2) {
    return null;
  }
  const cpu = figures.map(one => one.cpu);
  const memory = figures.map(one => one.memory);
  return (
    <svg
      className="jp-sessmgr-graph"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      width={WIDTH}
      height={HEIGHT}
      role="img"
      aria-label={label}
    >
      <path className="jp-sessmgr-memory" d={`${line(memory, memoryLimit)} V${HEIGHT} H0 Z`} />
      <path className="jp-sessmgr-cpu" d={line(cpu, 100)} />
    </svg>
  );
}

/** The path of a line from left to right; `full` reaches the top, or the highest value does. */
function line(values: readonly number[], full: number): string {
  const top = Math.max(full, ...values, 1);
  const step = WIDTH / (values.length - 1);
  const points = values.map((value, index) => {
    const y = HEIGHT - 1 - (value / top) * (HEIGHT - 2);
    return `${(index * step).toFixed(1)},${y.toFixed(1)}`;
  });
  return `M${points.join(' L')}`;
}
