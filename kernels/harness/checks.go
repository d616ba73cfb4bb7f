package harness

// The rules that are checked, as Violation.Check names them.
const (
	// Memory.
	Misaligned   = "misaligned"    // an access at an address that is no multiple of its size
	GlobalOOB    = "global-oob"    // outside of every allocation, or at no address of a kernel's
	GlobalUninit = "global-uninit" // a read of what neither the host nor a kernel wrote
	SharedOOB    = "shared-oob"    // outside of every piece of the current Smem
	SharedUninit = "shared-uninit" // a read of what this block has not written
	ReadOnly     = "readonly"      // load_readonly of what the same launch wrote, or of other memory
	NotGlobal    = "not-global"    // global() of a pointer to other memory
	ArrayBounds  = "array-bounds"  // an index outside of a local array
	Overflow     = "overflow"      // signed arithmetic that overflows, a shift or division without result

	// Order.
	Race              = "race"               // two accesses, one a write, that nothing orders
	BarrierDivergence = "barrier-divergence" // threads of a block at different barriers, or some at none
	WarpDivergence    = "warp-divergence"    // lanes of a warp at different instructions
	Deadlock          = "deadlock"           // all threads wait
	LastBlock         = "last-block"         // a counter that is not 0 at first, or not one for all threads
	TooLong           = "too-long"           // more barriers than can be numbered

	// Shared memory's layout.
	SmemSize       = "smem-size"       // Smem, its pieces and the launch disagree about the bytes
	SmemUnused     = "smem-unused"     // a piece that no thread ever touched
	SmemDivergence = "smem-divergence" // threads take different pieces

	// Instructions.
	AsyncPending    = "async-pending"    // bytes used, or left, before their copy was waited for
	AsyncSource     = "async-source"     // a copy's source that changed before it was waited for
	AsyncAddress    = "async-address"    // a copy that is not from global to shared memory
	LdmatrixAddress = "ldmatrix-address" // a row that is not in shared memory
	TF32Unrounded   = "tf32-unrounded"   // an operand of mma_tf32 with bits that are ignored
)
