package compiler
import ("testing";"fmt";"os";"time";"wrnc/dsl";"wrnc/compiler/ir")
func TestZZ(t *testing.T){
 text,_:=os.ReadFile(os.Getenv("NET"))

 net,err:=dsl.Load("x",text); if err!=nil {t.Fatal(err)}
 if d:=os.Getenv("DROP"); d!="" {net.Dropout=0.4}
 p:=ir.F32; if os.Getenv("BF")!="" {p=ir.BF16}
 t0:=time.Now()
 r,err:=Compile(net,Options{Batch:4,Fuse:os.Getenv("NOFUSE")=="",Verify:true,Precision:p})
 if err!=nil {t.Fatal(err)}
 fmt.Println(time.Since(t0))
 if os.Getenv("PR")!="" {fmt.Println(r.Module)}
 for _,d:=range r.Decisions {fmt.Println(d)}
}
