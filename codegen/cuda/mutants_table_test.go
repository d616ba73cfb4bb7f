package cuda

import (
	"wrnc/compiler/ir"
	"wrnc/compiler/plan"
	"wrnc/kernels/harness"
)

// The sites of the mutants. Those that edit a text have a name; the others would do
// with any region of their kind.
var (
	// 3x3: dropout in the prologue, residual and statistics in the epilogue.
	first      = site{net: "wrn-10-1-b13", precision: ir.BF16, function: "train", regions: "g1.b0.conv2", n: 2}
	firstF32   = site{net: "wrn-10-1-b13", precision: ir.F32, function: "train", regions: "g1.b0.conv2", n: 2}
	firstTF32  = site{net: "wrn-10-1-b13", precision: ir.TF32, function: "train", regions: "g1.b0.conv2", n: 2}
	far        = site{net: "wrn-10-1-b13", precision: ir.F32, function: "train", regions: "g1.b0.conv2", n: 5, far: 1000}
	firstDgrad = site{net: "wrn-10-1-b13", precision: ir.BF16, function: "train", regions: "g1.b0.conv2.dgrad", n: 2}
	dgradTF32  = site{net: "wrn-10-1-b13", precision: ir.TF32, function: "train", regions: "g1.b0.conv2.dgrad", n: 2}
	firstWgrad = site{net: "wrn-10-1-b13", precision: ir.BF16, function: "train", regions: "g1.b0.conv2.wgrad", n: 2}
	wgradTF32  = site{net: "wrn-10-1-b13", precision: ir.TF32, function: "train", regions: "g1.b0.conv2.wgrad", n: 2}
	wgradF32   = site{net: "wrn-10-1-b13", precision: ir.F32, function: "train", regions: "g1.b0.conv2.wgrad", n: 2}
	// Three channels.
	stem = site{net: "wrn-10-1-b13", precision: ir.BF16, function: "train", regions: "conv0", n: 2}
	// Stride 2.
	strided      = site{net: "wrn-10-1", precision: ir.BF16, function: "train", regions: "g2.b0.conv1", n: 2}
	stridedDgrad = site{net: "wrn-10-1", precision: ir.BF16, function: "train", regions: "g2.b0.conv1.dgrad", n: 2}
	proj         = site{net: "wrn-10-1", precision: ir.BF16, function: "train", regions: "g2.b0.proj", n: 2}
	projDgrad    = site{net: "wrn-10-1", precision: ir.BF16, function: "train", regions: "g2.b0.proj.dgrad", n: 2}
	// Shapes that tiles decide.
	slabs       = site{net: "wrn-40-2", precision: ir.BF16, function: "train", shape: "result in slabs"}
	chunks      = site{net: "wrn-16-1.5", precision: ir.BF16, function: "train", shape: "input in chunks"}
	odd         = site{net: "wrn-16-1.5", precision: ir.BF16, function: "train", shape: "channels that fill no tile"}
	pairs       = site{net: "wrn-10-1", precision: ir.BF16, function: "train", shape: "a unit without all its samples"}
	even        = site{net: "wrn-10-1", precision: ir.BF16, function: "train", shape: "columns by two blocks"}
	groups      = site{net: "wrn-10-1", precision: ir.BF16, function: "train", shape: "groups of units"}
	gradGroups  = site{net: "wrn-10-1", precision: ir.BF16, function: "train", shape: "groups of units, backward"}
	splitGroups = site{net: "wrn-10-1", precision: ir.BF16, function: "train", shape: "groups of splits"}
	twice       = site{net: "wrn-50-2-bottleneck", precision: ir.BF16, function: "train", shape: "two Reduces"}
	// Pools and the loss.
	pool        = site{net: "wrn-16-1.5", precision: ir.BF16, function: "train", regions: "pool.pool", n: 2}
	poolGrad    = site{net: "wrn-10-1", precision: ir.BF16, function: "train", regions: "bn.map", n: 3}
	maxpool     = site{net: "wrn-18-2-imagenet", precision: ir.BF16, function: "train", regions: "maxpool", n: 1}
	maxpoolGrad = site{net: "wrn-18-2-imagenet", precision: ir.BF16, function: "train", regions: "maxpool.2", n: 1}
	loss        = site{net: "wrn-16-1.5", precision: ir.BF16, function: "train", regions: "loss", n: 40}
	lossGrad    = site{net: "wrn-10-1", precision: ir.BF16, function: "train", regions: "loss.2", n: 42}
	// Tables of arguments.
	updates = site{net: "wrn-10-1", precision: ir.BF16, function: "train", regions: "fc.b.update g3.b0.conv1.w.update fc.w.update", n: 2}
	weights = site{net: "wrn-10-1", precision: ir.TF32, function: "train", regions: "g3.b0.conv2.map", n: 2}
	folds   = site{net: "wrn-10-1", precision: ir.BF16, function: "eval", regions: "g1.b0.bn0.channel g3.b0.bn1.channel g2.b0.bn0.channel", n: 2}
)

// shapes tell whether a kernel has what the mutants of a site need, for n samples.
var shapes = map[string]func(p *plan.Plan, k *plan.Kernel, n int) bool{
	"result in slabs": func(_ *plan.Plan, k *plan.Kernel, _ int) bool {
		// The limit of ResultTile in conv.cuh.
		return k.Kind == plan.Conv && k.Block.N/k.Block.WarpsN > min(8192/k.Block.M, 64)/k.Block.WarpsN
	},
	"input in chunks": func(_ *plan.Plan, k *plan.Kernel, _ int) bool {
		return k.Kind == plan.Conv && k.Conv.R == 3 && k.Conv.In() > k.Block.K
	},
	"channels that fill no tile": func(_ *plan.Plan, k *plan.Kernel, _ int) bool {
		return fprop(k) && len(k.Reduces) > 0 && k.Conv.Out()%k.Block.N != 0 && k.Conv.In()%k.Block.K != 0
	},
	"a unit without all its samples": func(_ *plan.Plan, k *plan.Kernel, n int) bool {
		s := k.Grid.SamplesPerUnit
		return fprop(k) && len(k.Reduces) > 0 && n > s && s > 1 && n%s != 0
	},
	"columns by two blocks": func(_ *plan.Plan, k *plan.Kernel, _ int) bool {
		return fprop(k) && k.Block.N/k.Block.WarpsN%16 == 0
	},
	"groups of units": func(_ *plan.Plan, k *plan.Kernel, n int) bool {
		return fprop(k) && len(k.Reduces) > 0 && k.Grid.Units(n) > plan.UnitGroup
	},
	"groups of units, backward": func(_ *plan.Plan, k *plan.Kernel, n int) bool {
		return k.Kind == plan.Conv && k.Conv.Dgrad && len(k.Reduces) > 0 && k.Grid.Units(n) > plan.UnitGroup
	},
	"groups of splits": func(p *plan.Plan, k *plan.Kernel, n int) bool {
		return k.Kind == plan.WgradSum && k.Conv.Splits > 1 && k.Pixels.Units(n) > plan.SplitGroup*ceilDiv(k.Pixels.Units(p.Batch), k.Conv.Splits)
	},
	"two Reduces": func(_ *plan.Plan, k *plan.Kernel, _ int) bool { return len(k.Reduces) > 1 },
}

func fprop(k *plan.Kernel) bool { return k.Kind == plan.Conv && !k.Conv.Dgrad }

var mutants = []mutant{
	// ---- Barriers and asynchronous copies.
	{name: "conv: no barrier between steps", at: first, by: harness.Race, short: true,
		edits: swap("conv.cuh", "barrier();  // this step's", "// this step's")},
	{name: "conv: the next copy starts before the barrier", at: first, by: harness.Race,
		edits: []edit{
			{file: "conv.cuh", old: "    copy_ahead();\n    if", new: "    if"},
			{file: "conv.cuh", old: "    cp_async_wait<Tile::kStages - 2>();\n", new: "    copy_ahead();\n    cp_async_wait<Tile::kStages - 1>();\n"},
		}},
	{name: "conv: no barrier before the result takes the operands' place", at: first, by: harness.Race,
		edits: swap("conv.cuh", "  barrier();  // the result takes the place of the operands\n", "")},
	{name: "conv: no barrier between slabs of the result", at: slabs, by: harness.Race,
		edits: swap("conv.cuh", "    if (slab > 0) barrier();\n", "")},
	{name: "conv: waits for one group too few", at: first, by: harness.AsyncPending, short: true,
		edits: swap("conv.cuh", "cp_async_wait<Tile::kStages - 2>", "cp_async_wait<Tile::kStages - 1>")},
	{name: "conv: copies are not committed", at: first, by: harness.AsyncPending,
		edits: swap("conv.cuh", "    cp_async_commit();\n", "")},
	{name: "conv: copies go on past the last chunk", at: first, by: harness.AsyncPending,
		edits: swap("conv.cuh", "ahead.chunk < L::kChunks", "ahead.chunk < L::kChunks + 1")},
	{name: "conv: weights of the stage before", at: first, by: numerics,
		edits: swap("conv.cuh", "weights + now.stage * L::kStage", "weights + (now.stage + Tile::kStages - 1) % Tile::kStages * L::kStage")},
	{name: "conv: the next chunk is filled over this one", at: chunks, by: harness.Race,
		edits: swap("conv.cuh", "inputs + u32(now.chunk + 1) % 2", "inputs + u32(now.chunk) % 2")},
	{name: "conv: each chunk reads the first one's input", at: chunks, by: numerics,
		edits: swap("conv.cuh", "a_row = inputs + u32(now.chunk) % L::kInputs", "a_row = inputs + u32(0) % L::kInputs")},
	{name: "conv: the last rounds of a chunk are not filled", at: chunks, by: harness.SharedUninit,
		edits: swap("conv.cuh", "even_share = (Fill::kRounds + u32(Shape::R) - 1) / u32(Shape::R)", "even_share = (Fill::kRounds - 1) / u32(Shape::R)")},
	{name: "conv: a chunk fills what the one before has left", at: chunks, by: numerics,
		edits: swap("conv.cuh", "    if (now.r == 0) filled = 0;\n", "")},
	{name: "conv: no barrier before the table of pixels is read", at: first, by: harness.Race,
		edits: swap("conv.cuh", "  barrier();\n  if (steps > 0) Fill", "  if (steps > 0) Fill")},
	{name: "wgrad: no barrier between units", at: firstWgrad, by: harness.Race,
		edits: swap("wgrad.cuh", "      barrier();  // this unit is filled, the next located; all have done with the one before\n", "")},
	{name: "wgrad: pixels of the unit that is filled are located anew", at: firstWgrad, by: harness.Race,
		edits: swap("wgrad.cuh", "if (unit + 2 < end) locate(unit + 2);", "if (unit + 1 < end) locate(unit + 1);")},
	{name: "wgrad: multiplies the other half", at: firstWgrad, by: harness.Race,
		edits: swap("wgrad.cuh", "const u32 half = u32(unit) % 2, first_tap", "const u32 half = u32(unit + 1) % 2, first_tap")},
	{name: "wgrad: no barrier between taps of the result", at: firstWgrad, by: harness.Race,
		edits: swap("wgrad.cuh", "      if (step > 0) barrier();\n", "")},
	{name: "pool: no barrier before the sums are added", at: pool, by: harness.Race,
		edits: swap("pool.cuh", "  barrier();\n", "")},
	{name: "unit's partial: no barrier after the shuffles", at: groups, by: harness.Race,
		edits: swap("drain.cuh", "    barrier();\n    for (u32 column = thread_index()", "    for (u32 column = thread_index()")},
	{name: "merge: no barrier between its threads", at: groups, by: harness.Race,
		edits: swap("drain.cuh", "    barrier();\n    if (lane == 0) {", "    if (lane == 0) {")},
	{name: "unit's partial: no barrier before the next Reduce", at: twice, by: harness.Race,
		edits: swap("drain.cuh", "    barrier();  // before the scratch is used again\n", "")},
	{name: "merge: no barrier before the next Reduce", at: twice, by: harness.Race,
		edits: swap("drain.cuh", "    barrier();\n    return sum;", "    return sum;")},
	{name: "unit's partial: idle threads leave before a barrier", at: odd, by: harness.BarrierDivergence,
		edits: swap("drain.cuh", "if (c >= channels) continue;\n      const Kind sum", "if (c >= channels) return;\n      const Kind sum")},
	{name: "unit's partial: only threads with pixels shuffle", at: odd, by: harness.Deadlock,
		edits: swap("drain.cuh", "    join_lanes(value, n);\n", "    if (n > 0) join_lanes(value, n);\n")},

	// ---- Bounds.
	{name: "conv: copies one channel vector too many", at: odd, by: harness.GlobalOOB, short: true,
		edits: swap("conv.cuh", "c + c0 < Shape::C", "c + c0 <= Shape::C")},
	{name: "conv: copies one row of weights too many", at: odd, by: harness.GlobalOOB,
		edits: swap("conv.cuh", "k + k0 + i32(round * kStep) < Shape::K", "k + k0 + i32(round * kStep) <= Shape::K")},
	{name: "conv: a tile that passes the last channel counts as whole", at: odd, by: harness.GlobalOOB,
		edits: swap("conv.cuh", "Shape::K % i32(RowsN) == 0 && Shape::C % i32(ColsN) == 0", "true")},
	{name: "fill: one row below the picture", at: first, by: numerics,
		edits: swap("fill.cuh", "y < Rows && x >= 0", "y <= Rows && x >= 0")},
	{name: "fill: one position too many", at: first, by: harness.SharedOOB,
		edits: swap("fill.cuh", "if (position < Positions)", "if (position <= Positions)")},
	{name: "fill: samples past the last", at: pairs, by: harness.GlobalOOB,
		edits: swap("fill.cuh", "position < kPositions && n < samples &&", "position < kPositions &&")},
	{name: "fill: the table of pixels ends one position early", at: first, by: harness.SharedUninit,
		edits: swap("fill.cuh", "position < Positions; position += Threads", "position < Positions - 1; position += Threads")},
	{name: "drain: a unit with missing samples takes the loop without conditions", at: pairs, by: harness.GlobalOOB,
		edits: swap("drain.cuh", "place.n + Unit::kSamples <= args.n", "place.n + 1 <= args.n")},
	{name: "drain: channels past the last", at: odd, by: numerics,
		edits: swap("drain.cuh", "if (lane < lanes && c < channels) {\n    const typename", "if (lane < lanes) {\n    const typename")},
	{name: "pool: channels past the last", at: pool, by: harness.GlobalOOB,
		edits: swap("pool.cuh", "if (column < Tile::N && c < Shape::C)", "if (column < Tile::N)")},
	{name: "flat: the last vector is not cut", at: updates, by: harness.GlobalOOB, short: true,
		edits: swap("flat.cuh", "if (e + 4 <= args.elems)", "if (e < args.elems)")},
	{name: "flat: the tail stops one element early", at: updates, by: numerics,
		edits: swap("flat.cuh", "tail < args.elems", "tail < args.elems - 1")},
	{name: "table: blocks are one segment late", at: updates, by: numerics,
		edits: swap("flat.cuh", "first_block[middle] <= block_index()", "first_block[middle] < block_index()")},
	{name: "table: the last segment is never found", at: folds, by: numerics,
		edits: swap("flat.cuh", "high = segments;", "high = segments - 1;")},
	{name: "conv: one stage too little shared memory", at: first, by: harness.SharedOOB,
		edits: swap("conv.cuh", "smem.take<Store, Tile::kStages * L::kStage>()", "smem.take<Store, (Tile::kStages - 1) * L::kStage>()")},
	{name: "conv: the plan's block is not the template's", at: first, by: refused,
		edits: swap("math.cuh", "elements / piece % 2 == 0 ? elements + piece : elements", "elements")},
	{name: "channels: one channel too many", at: folds, by: harness.GlobalOOB,
		edits: swap("flat.cuh", "if (c < args.channels)", "if (c <= args.channels)")},
	{name: "merge: channels past the last are read", at: odd, by: harness.GlobalUninit,
		edits: swap("drain.cuh", "if (lane < kLanes && c < channels) {", "if (lane < kLanes) {")},
	{name: "merge: channels past the last are written", at: odd, by: harness.GlobalOOB,
		edits: swap("drain.cuh", "< N && channel(round) < channels;", "< N;")},

	// ---- Alignment and caches.
	{name: "conv: weights of three channels are copied by four bytes", at: stem, by: harness.Misaligned,
		edits: swap("conv.cuh", "kRowBytes % 4 == 0 ? 4 : 2", "4")},
	{name: "text: a vector begins one channel late", at: first, by: harness.Misaligned,
		edits: swap("", "load_floats<8>(a.a6 + e)", "load_floats<8>(a.a6 + e + 1)")},
	{name: "conv: rows of the input tile have another length", at: first, by: harness.Misaligned,
		edits: swap("conv.cuh", "u32(taps.template shift<Input>(now.r, s)) * L::kInputRow", "u32(taps.template shift<Input>(now.r, s)) * (L::kInputRow - 2)")},
	{name: "flat: vectors begin one element late", at: updates, by: harness.Misaligned,
		edits: swap("flat.cuh", "+ thread_index() * 4;", "+ thread_index() * 4 + 1;")},
	{name: "split-K: the workspace is read as if nobody wrote it", at: splitGroups, by: harness.ReadOnly,
		edits: swap("wgrad.cuh", "load<f32, 4>(mine", "load_readonly<f32, 4>(mine")},
	{name: "conv: the result tile is read like a tensor", at: first, by: harness.NotGlobal,
		edits: swap("conv.cuh", "load_tile<Epilogue::kVec>(result", "load_floats<Epilogue::kVec>(result")},
	{name: "pool: sums are stored like a tensor", at: pool, by: harness.NotGlobal,
		edits: swap("pool.cuh", "store_tile(sums", "store_floats(sums")},

	// ---- Products.
	{name: "bf16: A's fragments of rows are swapped", at: first, by: numerics, short: true,
		edits: swap("math.cuh", "mma_bf16(sums, a.r, b.r);", "const u32 r[4] = {a.r[1], a.r[0], a.r[3], a.r[2]}; mma_bf16(sums, r, b.r);")},
	{name: "bf16: B's terms are swapped", at: first, by: numerics,
		edits: swap("math.cuh", "mma_bf16(sums, a.r, b.r);", "const u32 r[2] = {b.r[1], b.r[0]}; mma_bf16(sums, a.r, r);")},
	{name: "math: B's second block is the first", at: even, by: numerics,
		edits: []edit{{file: "math.cuh", old: "b[1] = B{{r[2], r[3]}}", new: "b[1] = B{{r[0], r[1]}}", times: 3}}},
	{name: "bf16: backward, the weight is not transposed", at: firstDgrad, by: numerics,
		edits: []edit{
			{file: "math.cuh", old: "ldmatrix_x2_trans(", new: "ldmatrix_x2("},
			{file: "math.cuh", old: "ldmatrix_x4_trans(r, ", new: "ldmatrix_x4(r, "},
		}},
	{name: "tf32: terms of A are four apart", at: dgradTF32, by: numerics,
		edits: swap("math.cuh", "mma_tf32(sums, a.r, b.r);", "const u32 r[4] = {a.r[0], a.r[2], a.r[1], a.r[3]}; mma_tf32(sums, r, b.r);")},
	{name: "tf32: an operand is not rounded", at: firstTF32, by: harness.TF32Unrounded,
		edits: swap("", "round_to<tf32>", "round_to<f32>")},
	{name: "ffma: rows of a thread are neighbours", at: firstF32, by: numerics,
		edits: swap("math.cuh", "return lane_index() / 4 + i * 8; }", "return lane_index() / 4 * 2 + i; }")},
	{name: "bf16: A's terms are swapped in a weight gradient", at: firstWgrad, by: numerics,
		edits: swap("math.cuh", "lane_index() % 8 + lane_index() / 16 * 8; }\n    WRNC_DEVICE u32 element() { return lane_index() / 8 % 2 * 8; }\n    WRNC_DEVICE void load(A& a, const bf16*", "lane_index() % 16; }\n    WRNC_DEVICE u32 element() { return lane_index() / 16 * 8; }\n    WRNC_DEVICE void load(A& a, const bf16*")},
	{name: "tf32: columns of A are four apart", at: wgradTF32, by: numerics,
		edits: swap("math.cuh", "bits_of(tile[own[i / 2] + i % 2 * 8])", "bits_of(tile[own[i / 2] + i % 2 * 4])")},
	{name: "ffma: B's second column is the first", at: wgradF32, by: numerics,
		edits: swap("math.cuh", "b[i].v[1][k] = x.v[1];", "b[i].v[1][k] = x.v[0];")},
	{name: "result: columns of a slab lie side by side", at: slabs, by: numerics,
		edits: swap("drain.cuh", "column / Run * Stride + column % Run", "column")},
	{name: "sums: the halves of a block are swapped", at: first, by: numerics,
		edits: swap("math.cuh", "sums[i][j][half * 2], sums[i][j][half * 2 + 1]", "sums[i][j][2 - half * 2], sums[i][j][3 - half * 2]")},
	{name: "fill: each chunk takes the first channels", at: chunks, by: numerics,
		edits: swap("fill.cuh", "c = first + i32(vector * V), safe = c < Channels ? c : 0;", "c = first + i32(vector * V), safe = i32(vector * V);")},
	{name: "conv: the filter's rows and columns are exchanged", at: first, by: numerics,
		edits: swap("conv.cuh", "(r0 + r * Shape::kPhase) * Shape::R + s0 + s * Shape::kPhase", "(r0 + s * Shape::kPhase) * Shape::R + s0 + r * Shape::kPhase")},
	{name: "conv: backward, taps lie on the wrong side", at: firstDgrad, by: numerics,
		edits: swap("conv.cuh", "Input::shift(y - r, x - s) : Input::shift(r, s)", "Input::shift(r, s) : Input::shift(r, s)")},
	{name: "wgrad: the picture begins one row late", at: firstWgrad, by: numerics,
		edits: swap("wgrad.cuh", "y = u.y * Shape::kStride - Shape::kPad, x", "y = u.y * Shape::kStride - Shape::kPad + 1, x")},

	// ---- Strides and phases.
	{name: "fill: the planes of even and odd columns are exchanged", at: strided, by: numerics,
		edits: swap("fill.cuh", "x % Advance * kLane", "(x + 1) % Advance * kLane")},
	{name: "conv: a phase takes the other one's taps", at: stridedDgrad, by: harness.LdmatrixAddress,
		edits: swap("conv.cuh", "r0 = (u.phase_y + Shape::kPad) % step, s0", "r0 = u.phase_y % step, s0")},
	{name: "conv: a phase is written to rows of another", at: stridedDgrad, by: numerics,
		edits: swap("units.cuh", "* Step + u.phase_y;", "* Step + u.phase_x;")},
	{name: "conv: a phase without taps is not written", at: projDgrad, by: numerics,
		edits: swap("conv.cuh", "slab < Result::kSlabs", "slab < (Taps<Shape>::of(place).cols > 0 ? Result::kSlabs : 0)")},
	{name: "conv: 1x1 of stride 2 fills every pixel", at: proj, by: numerics,
		edits: swap("conv.cuh", "kPick = !kDgrad && R == 1 ? kStride : 1;", "kPick = 1;")},

	// ---- Prologues and epilogues.
	{name: "padding goes through the prologue", at: first, by: numerics, short: true,
		edits: []edit{
			{file: "fill.cuh", old: "W::at(imax(pixel, 0))", new: "W::at(pixel)"},
			{file: "fill.cuh", old: "if (pixel >= 0 && c < Channels)", new: "if (c < Channels)"},
			{old: "load_floats<8>(a.a1 + e);", new: "at.pixel < 0 ? Floats<8>{} : load_floats<8>(a.a1 + e);"},
		}},
	{name: "padding is the first pixel", at: first, by: numerics,
		edits: swap("fill.cuh", "if (pixel >= 0 && c < Channels)", "if (c < Channels)")},
	{name: "dropout: backward, seed and step are exchanged", at: firstDgrad, by: numerics,
		edits: swap("", "ch.s7, ch.s8, e)", "ch.s8, ch.s7, e)")},
	{name: "dropout: backward, the element of another channel", at: firstDgrad, by: numerics,
		edits: swap("", "ch.s7, ch.s8, e)", "ch.s7, ch.s8, e ^ 8)")},
	{name: "dropout: a weight's gradient draws another stream", at: firstWgrad, by: numerics,
		edits: swap("", "a.stream0, ch.s7", "a.stream0 + 1, ch.s7")},
	{name: "dropout: half-words are taken high first", at: first, by: numerics,
		edits: swap("ops.cuh", "word >> half % 2 * 16", "word >> (1 - half % 2) * 16")},
	{name: "dropout: a vector of four begins at its counter", at: firstF32, by: numerics,
		edits: swap("ops.cuh", "const u32 first = u32(e) % 8;", "const u32 first = 0;")},
	{name: "dropout: kept elements are not scaled", at: firstWgrad, by: numerics,
		edits: swap("", "mask_scale(x1, x2, 19661)", "mask_scale(x1, x2, 0)")},
	{name: "no residual", at: first, by: numerics,
		edits: swap("", "add(y, m6)", "y")},
	{name: "the result is not rounded before it is stored", at: first, by: numerics,
		edits: swap("", "const auto x1 = round_to<bf16>(x0);\n    store", "const auto x1 = x0;\n    store")},
	{name: "relu's mask is of the values before the affine", at: firstDgrad, by: numerics,
		edits: swap("", "relu_grad(x3, x0)", "relu_grad(x3, m5)")},
	{name: "relu keeps negative numbers' shift", at: first, by: numerics,
		edits: swap("", "const auto x1 = relu(x0);", "const auto x1 = x0;")},
	{name: "a row of a channel vector is the one before", at: firstDgrad, by: numerics,
		edits: swap("", "a.a3 + 32 + c", "a.a3 + 16 + c")},
	{name: "bf16: neighbours are exchanged when rounded", at: poolGrad, by: numerics,
		edits: swap("ops.cuh", "bf16x2_bits(x.v[i], V > 1 ? x.v[i + 1] : 0.0f)", "bf16x2_bits(V > 1 ? x.v[i + 1] : 0.0f, x.v[i])")},
	{name: "tf32: halves are rounded up", at: weights, by: numerics,
		edits: swap("ops.cuh", "b + 0xfff + (b >> 13 & 1)", "b + 0x1000")},
	{name: "a sample's value is read at its pixels", at: poolGrad, by: harness.GlobalOOB,
		edits: swap("", "(i64)at.n * 64 + c", "at.pixel * 64 + c")},
	{name: "pool: divides by one pixel too few", at: pool, by: numerics,
		edits: swap("pool.cuh", "f32(pixels)", "f32(pixels - 1)")},
	{name: "pool: the last thread's sum is left out", at: pool, by: numerics,
		edits: swap("pool.cuh", "lane < L::kLanes; lane++", "lane + 1 < L::kLanes; lane++")},

	// ---- Reductions.
	{name: "statistics of unrounded values", at: first, by: numerics, short: true,
		edits: swap("", "s.q0.add(x1)", "s.q0.add(x0)")},
	{name: "gradient's statistics of unrounded values", at: firstDgrad, by: numerics,
		edits: swap("", "s.q0.add(x5,", "s.q0.add(x4,")},
	{name: "gradient's statistics are not centred", at: firstDgrad, by: numerics,
		edits: swap("drain.cuh", "fma(g.v[i], x.v[i] - mean.v[i], dot.v[i])", "fma(g.v[i], x.v[i], dot.v[i])")},
	{name: "statistics: the distance of means is not weighted", at: groups, by: numerics,
		edits: swap("drain.cuh", "na * share, a.m2 + b.m2", "na, a.m2 + b.m2")},
	{name: "statistics: units weigh the same", at: pairs, by: numerics,
		edits: swap("drain.cuh", "const f32 weight = Grid::pixels(unit, Span, samples)", "const f32 weight = 64")},
	{name: "statistics: a unit without all its samples weighs as if it had them", at: pairs, by: numerics,
		edits: swap("units.cuh", "cut * (samples % Box::kSamples)", "cut * Box::kSamples")},
	{name: "statistics: a thread's squares are not shifted", at: far, by: numerics,
		edits: swap("drain.cuh", "      if (count == 0) shift.v[i] = x.v[i];\n", "")},
	{name: "statistics: a merge's squares are not shifted", at: far, by: numerics,
		edits: swap("drain.cuh", "    if (!some) shift = k.mean;\n", "")},
	{name: "statistics: a thread counts its pixels once too often", at: groups, by: numerics,
		edits: swap("drain.cuh", "square.v[i] = fma(d, d, square.v[i]);\n    }\n    count++;", "square.v[i] = fma(d, d, square.v[i]);\n    }\n    count += 1 + (count == 0);")},
	{name: "unit's partial: one warp is left out", at: groups, by: numerics,
		edits: swap("drain.cuh", "slot < kSlots; slot++) {\n      const f32 other = counts", "slot + 1 < kSlots; slot++) {\n      const f32 other = counts")},
	{name: "merge: a group has one unit too few", at: groups, by: numerics,
		edits: swap("drain.cuh", "slot < slots; slot += i32(kLanes)", "slot + 1 < slots; slot += i32(kLanes)")},
	{name: "merge: begins with the block that comes last", at: groups, by: ordered,
		edits: swap("drain.cuh", "const i32 unit = first + slot * i32(Span);", "const i32 unit = first + (slot + i32(block_index())) % slots * i32(Span);")},
	{name: "finish: a group's counter expects one block more", at: groups, by: counter,
		edits: swap("drain.cuh", "+ tile, u32(slots))", "+ tile, u32(slots) + 1)")},
	{name: "finish: all groups count at one place", at: groups, by: harness.LastBlock,
		edits: swap("drain.cuh", "counters + tiles * (1 + group) + tile", "counters + tiles + tile")},
	{name: "finish: every group's last block finishes", at: gradGroups, by: harness.Race,
		edits: swap("drain.cuh", "if (last_block(counters + tile, u32(groups))) {", "last_block(counters + tile, u32(groups)); {")},
	{name: "finish: every block finishes", at: groups, by: harness.Race,
		edits: swap("drain.cuh", "if (last_block(counters + tiles * (1 + group) + tile, u32(slots))) {", "last_block(counters + tiles * (1 + group) + tile, u32(slots)); {")},
	{name: "finish: threads without a channel of their own write", at: first, by: harness.Race,
		edits: swap("", "if (r.owns()) {", "{")},
	{name: "finish: the running variance is biased", at: first, by: numerics,
		edits: swap("ops.cuh", "div_(s.m2, count - 1.0f)", "div_(s.m2, count)")},
	{name: "finish: gamma's gradient takes beta's place", at: firstDgrad, by: numerics,
		edits: swap("", "a.a15[c] = t0.dgamma;\n      a.a16[c] = t0.dbeta;", "a.a16[c] = t0.dgamma;\n      a.a15[c] = t0.dbeta;")},
	{name: "split-K: groups are added where splits lie", at: splitGroups, by: numerics,
		edits: swap("wgrad.cuh", "add_splits<L, Tile>(sums, mine, 0, kSplitGroup, groups)", "add_splits<L, Tile>(sums, mine, 0, 1, groups)")},
	{name: "split-K: the first split counts twice", at: splitGroups, by: numerics,
		edits: swap("wgrad.cuh", "  each_sum(sums, [](u32, f32(&block)[4]) { block[0] = block[1] = block[2] = block[3] = 0; });\n", "")},
	{name: "split-K: a group's sum is not stored", at: splitGroups, by: numerics,
		edits: swap("wgrad.cuh", "        store_split<L, Tile>(sums, mine, first);", "        ")},
	{name: "split-K: the last block adds to its own sums", at: splitGroups, by: ordered,
		edits: []edit{
			{file: "wgrad.cuh", old: "  each_sum(sums, [](u32, f32(&block)[4]) { block[0] = block[1] = block[2] = block[3] = 0; });\n", new: "  const i32 own = i32(block_index()) / (L::kTilesM * L::kTilesN);\n"},
			{file: "wgrad.cuh", old: "    const f32* const mine = workspace + (first + slot * step)", new: "    if ((first + slot * step) / step == own / step) continue;\n    const f32* const mine = workspace + (first + slot * step)"},
		}},
	{name: "split-K: a split has one unit too many", at: splitGroups, by: numerics,
		edits: swap("wgrad.cuh", "imin(begin + span, L::Grid::count(args.n))", "imin(begin + span + 1, L::Grid::count(args.n))")},

	// ---- The loss, and pools of windows.
	{name: "loss: no barrier before warps are added", at: loss, by: harness.Race,
		edits: swap("xent.cuh", "  barrier();\n  if (warp_index() == 0) {", "  if (warp_index() == 0) {")},
	{name: "loss: one class too many", at: loss, by: harness.GlobalOOB,
		edits: swap("xent.cuh", "end = valid ? Shape::kClasses : 0;", "end = valid ? Shape::kClasses + 1 : 0;")},
	{name: "loss: the last warp is left out", at: loss, by: numerics,
		edits: swap("xent.cuh", "lane_index() < Shape::kWarps;", "lane_index() + 1 < Shape::kWarps;")},
	{name: "loss: samples past the last count", at: loss, by: numerics,
		edits: swap("xent.cuh", "if (sample < u32(n) && row.first == 0)", "if (row.first == 0)")},
	{name: "loss: the gradient is that of the sum", at: lossGrad, by: numerics,
		edits: swap("xent.cuh", "p - 1.0f : p, f32(n))", "p - 1.0f : p, 1.0f)")},
	{name: "loss: lanes without a sample do not shuffle", at: lossGrad, by: harness.Deadlock,
		edits: swap("xent.cuh", "  const LossRow<Shape, T> row(logits, labels, sample, n);\n  f32* const to", "  if (sample >= u32(n)) return;\n  const LossRow<Shape, T> row(logits, labels, sample, n);\n  f32* const to")},
	{name: "maxpool: one row above the picture", at: maxpool, by: harness.GlobalOOB,
		edits: swap("maxpool.cuh", "if (i >= 0 && i < H && j >= 0 && j < W) {", "if (i >= -1 && i < H && j >= 0 && j < W) {")},
	{name: "maxpool: of equals the last takes the gradient", at: maxpoolGrad, by: numerics,
		edits: swap("maxpool.cuh", "before ? !(u < x) : !(u <= x)", "before ? !(u <= x) : !(u < x)")},
	{name: "maxpool: a pixel's last window is left out", at: maxpoolGrad, by: numerics,
		edits: swap("maxpool.cuh", "imin((at.y + pad) / step + 1, P)", "imin((at.y + pad) / step, P)")},
}
