# The formula for a tap of one's own. `packaging/release` prints the address and the checksum of the source archive
# that belong here for each version.
class Proxylm < Formula
  desc "LLM proxy that queues by model: one URL for every client and backend"
  homepage "@HOMEPAGE@"
  url "@SOURCE_URL@"
  version "@VERSION@"
  sha256 "@SOURCE_SHA256@"
  license "MIT"

  depends_on "cmake" => :build
  depends_on "rust" => :build

  def install
    system "cargo", "install", *std_cargo_args
    (var/"proxylm").mkpath
    (etc/"proxylm").mkpath
  end

  # Not `proxylm service install`: the program's folder has the version in its name here.
  service do
    run [opt_bin/"proxylm", "serve", "--config", etc/"proxylm/config.yaml", "--run-dir", var/"proxylm/run"]
    keep_alive successful_exit: false
    working_dir var/"proxylm"
    log_path var/"log/proxylm.log"
    error_log_path var/"log/proxylm.log"
  end

  def caveats
    <<~EOS
      Make a configuration before the first start, and let storage.database_path be in #{var}/proxylm:
        proxylm config init --out #{etc}/proxylm/config.yaml
        brew services start proxylm
    EOS
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/proxylm --version")
    (testpath/"config.yaml").write <<~EOS
      backends:
        - { name: made-up, type: fake, fake: { models: [m] } }
    EOS
    assert_match "OK:", shell_output("#{bin}/proxylm config validate --config #{testpath}/config.yaml")
  end
end
